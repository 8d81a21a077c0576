from __future__ import annotations

import pytest

from stackbench.benchmarks.mmlu import Mmlu, MmluOptions, find_letter
from stackbench.datasets import DatasetStore
from stackbench.types import Generation, Metric, Scored
from tests.benchmarks.scripted import ScriptedContext, summary


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"), (" B", "B"), ("B.", "B"), ("(C)", "C"), ("**D**", "D"), ("The answer is C.", "C"),
        ("Answer: D", "D"), ("The correct option is (A) because B is wrong", "A"), ("I think A or B", "A"),
        ("answer is b", "B"), ("", ""), ("none", ""), ("Because", ""), ("A. Paris\nB. Rome\nThe answer is B", "B"),
    ],
)  # fmt: skip
def test_the_letter_of_an_answer_is_found(text: str, letter: str) -> None:
    assert find_letter(text) == letter


async def test_log_probabilities_decide_where_the_model_gives_them(data: DatasetStore) -> None:
    benchmark = Mmlu(MmluOptions())
    task = benchmark.tasks(data)[0]
    context = ScriptedContext(
        lambda asked: Generation("D", choice_logprobs=(-3.0, -0.1, -4.0, float("-inf"))), scores_choices=True
    )
    scored = await benchmark.attempt(task, context)
    assert (scored.metrics["answer"], scored.metrics["by"]) == ("B", "logprob")
    assert context.asked[0]["choices"] == (" A", " B", " C", " D")
    assert context.asked[0]["text"].count("Answer:") == 6


async def test_text_decides_elsewhere_and_chat_models_are_told_what_to_reply(data: DatasetStore) -> None:
    benchmark = Mmlu(MmluOptions())
    task = benchmark.tasks(data)[0]
    context = ScriptedContext(lambda asked: f"The answer is {asked['reference']}.", plain_prompts=False)
    scored = await benchmark.attempt(task, context)
    assert scored.passed
    assert context.asked[0]["text"].endswith("nothing else.")
    assert (await benchmark.attempt(task, ScriptedContext(""))).reason.startswith("failed: answered no letter, not ")


def test_the_published_questions_fall_into_57_subjects_and_four_groups(data: DatasetStore) -> None:
    benchmark = Mmlu(MmluOptions())
    tasks = benchmark.tasks(data)
    assert (len(tasks), len({task.category for task in tasks}), len({task.task_id for task in tasks})) == (
        14042,
        57,
        14042,
    )
    metrics = benchmark.metrics([summary(t.task_id, Scored(1.0, True), category=t.category) for t in tasks])
    groups = {m.category: m.n for m in metrics if m.category in ("stem", "humanities", "social_sciences", "other")}
    assert sum(groups.values()) == 14042
    assert len([m for m in metrics if m.name == "acc"]) == 1 + 4 + 57


def test_micro_and_macro_average_differ_when_subjects_do() -> None:
    attempts = [summary(f"a{i}", Scored(1.0, True), category="anatomy") for i in range(3)]
    attempts += [summary("v0", Scored(0.0, False), category="virology")]
    metrics = {(m.name, m.category): m.value for m in Mmlu(MmluOptions()).metrics(attempts)}
    assert metrics["acc", ""] == 0.75
    assert metrics["acc_macro", ""] == 0.5
    assert metrics["acc", "anatomy"] == 1.0


def test_further_attempts_at_a_question_are_no_further_questions() -> None:
    """Five copies of each answer: value, error, interval and n are those of one."""
    scored = [(f"{s}{i}", s, (i * 7 + len(s)) % 3 > 0) for s in ("anatomy", "virology", "astronomy") for i in range(12)]

    def metrics(copies: int) -> list[Metric]:
        return Mmlu(MmluOptions()).metrics(
            [
                summary(task, Scored(float(right), right), category=subject, attempt=attempt)
                for task, subject, right in scored
                for attempt in range(copies)
            ]
        )

    assert metrics(5) == metrics(1)
    whole = {(m.name, m.category): m for m in metrics(5)}
    assert whole["acc", ""].n == 36
    assert whole["acc", "anatomy"].n == 12
    p = whole["acc", "anatomy"].value
    assert whole["acc", "anatomy"].stderr == pytest.approx((p * (1 - p) / 12) ** 0.5)


def test_one_question_has_an_interval() -> None:
    for metric in Mmlu(MmluOptions()).metrics([summary("a0", Scored(1.0, True), category="anatomy")]):
        assert (metric.value, metric.ci_high) == (1.0, 1.0)
        assert metric.ci_low == pytest.approx(0.2065, abs=1e-4)
