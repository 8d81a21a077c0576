from __future__ import annotations

import pytest

from stackbench.benchmarks.mmlu import Mmlu, MmluOptions, find_letter
from stackbench.datasets import DatasetStore
from stackbench.types import Generation, Scored
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
