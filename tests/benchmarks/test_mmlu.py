from __future__ import annotations

from typing import Any

import pytest

from stackbench.benchmarks.mmlu import Mmlu, MmluOptions, MmluTask
from stackbench.datasets import DatasetStore
from stackbench.types import Generation, Metric, Scored
from tests.benchmarks.scripted import ScriptedContext, summary


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


TASK = MmluTask("anatomy/x", "anatomy", "Which filters blood?", ("the liver", "a kidney", "the heart", "12 ribs"), 1)


async def test_where_a_chats_first_token_is_no_letter_the_text_is_asked_for() -> None:
    for logprobs in (None, (-9.0, -12.0, -8.0, float("-inf")), (-1.9, -2.0, -1.8, -30.0)):

        def answer(asked: dict[str, Any], logprobs: tuple[float, ...] | None = logprobs) -> Generation:
            if asked["choices"]:
                return Generation("", prompt_tokens=10, completion_tokens=1, latency_s=1.0, choice_logprobs=logprobs)
            return Generation("The answer is B.", prompt_tokens=10, completion_tokens=5, latency_s=2.0)

        context = ScriptedContext(answer, scores_choices=True)
        scored = await Mmlu(MmluOptions(style="chat")).attempt(TASK, context)
        assert (scored.passed, scored.metrics["by"]) == (True, "text")
        assert [len(asked["choices"]) for asked in context.asked] == [4, 0]
        assert (scored.prompt_tokens, scored.completion_tokens, scored.latency_s) == (20, 6, 3.0)
        assert scored.completion == "The answer is B."


async def test_where_the_letters_have_most_of_the_probability_nothing_more_is_asked() -> None:
    context = ScriptedContext(
        lambda asked: Generation("B", choice_logprobs=(-3.0, -0.2, -4.0, -5.0)), scores_choices=True
    )
    scored = await Mmlu(MmluOptions(style="chat")).attempt(TASK, context)
    assert (scored.passed, scored.metrics["by"], len(context.asked)) == (True, "logprob", 1)
    assert scored.metrics["letters_share"] == pytest.approx(0.8937, abs=0.001)


async def test_after_a_bare_prompt_the_four_letters_are_compared_unless_they_mean_nothing() -> None:
    for logprobs, by in (((-4.0, -2.0, -3.0, -5.0), "logprob"), ((-9.0, -12.0, -8.0, -9.0), "text")):
        context = ScriptedContext(
            lambda asked, logprobs=logprobs: Generation(" B", choice_logprobs=logprobs if asked["choices"] else None),
            scores_choices=True,
        )
        scored = await Mmlu(MmluOptions(style="completion")).attempt(TASK, context)
        assert (scored.passed, scored.metrics["by"]) == (True, by)


async def test_a_choices_own_text_counts_as_its_letter() -> None:
    scored = await Mmlu(MmluOptions(style="chat")).attempt(TASK, ScriptedContext("A kidney."))
    assert scored.passed


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


async def test_examples_can_be_turns_of_the_chat(data: DatasetStore) -> None:
    benchmark = Mmlu(MmluOptions(style="chat", fewshot_as_turns=True, shots=2))
    task = next(task for task in benchmark.tasks(data) if task.category == "anatomy")
    context = ScriptedContext(lambda asked: asked["reference"])
    assert (await benchmark.attempt(task, context)).passed
    turns = context.asked[0]["turns"]
    assert [role for role, _ in turns] == ["user", "assistant"] * 2 + ["user"]
    assert all(text in "ABCD" for role, text in turns if role == "assistant")
    assert all(text.count("Answer:") == 1 for role, text in turns if role == "user")
    bare = Mmlu(MmluOptions(style="completion", fewshot_as_turns=True, shots=2))
    bare.tasks(data)
    context = ScriptedContext(lambda asked: asked["reference"])
    await bare.attempt(task, context)
    assert context.asked[0]["turns"] == [] and context.asked[0]["text"].count("Answer:") == 3


def test_further_attempts_at_a_question_are_no_further_questions() -> None:
    """Five copies of each answer: value, error, interval and n are those of one."""
    scored = [(f"{s}{i}", s, (i * 7 + len(s)) % 3 > 0) for s in ("anatomy", "virology", "astronomy") for i in range(20)]

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
    assert whole["acc", ""].n == 60
    assert whole["acc", "anatomy"].n == 20
    p = whole["acc", "anatomy"].value
    assert whole["acc", "anatomy"].stderr == pytest.approx((p * (1 - p) / 20) ** 0.5)


def test_three_subjects_are_too_few_for_an_interval_over_them() -> None:
    subjects = ("anatomy", "virology", "astronomy")
    found = Mmlu(MmluOptions()).metrics(
        [summary(f"{s}{i}", Scored(1.0, i % 2 == 0), category=s) for s in subjects for i in range(40)]
    )
    shown = {(m.name, m.category): m.ci_low is not None for m in found if m.name != "acc_macro"}
    assert not shown["acc", ""] and all(shown["acc", subject] for subject in subjects)
