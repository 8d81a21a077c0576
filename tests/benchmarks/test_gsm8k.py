from __future__ import annotations

from fractions import Fraction

from stackbench.benchmarks.gsm8k import Gsm8k, Gsm8kOptions, Gsm8kTask
from stackbench.datasets import DatasetStore
from tests.benchmarks.scripted import ScriptedContext, summary

TASK = Gsm8kTask("gsm8k/x", question="How many?", answer="9 * 2 = 18\n#### 18", number=Fraction(18))


async def test_chat_asks_without_examples_and_fewshot_with_eight(data: DatasetStore) -> None:
    benchmark = Gsm8k(Gsm8kOptions())
    task = benchmark.tasks(data)[0]
    chat, plain = ScriptedContext("#### 18"), ScriptedContext("#### 18", chat=False)
    assert (await benchmark.attempt(task, chat)).passed
    assert (await benchmark.attempt(task, plain)).passed
    assert chat.asked[0]["text"].count("Question:") == 0
    assert plain.asked[0]["text"].count("Question:") == 9
    assert "<<" not in plain.asked[0]["text"]


async def test_examples_can_be_turns_of_the_chat(data: DatasetStore) -> None:
    benchmark = Gsm8k(Gsm8kOptions(fewshot_as_turns=True, shots=3))
    task = benchmark.tasks(data)[0]
    chat, plain = ScriptedContext("#### 18"), ScriptedContext("#### 18", chat=False)
    assert (await benchmark.attempt(task, chat)).passed
    turns = chat.asked[0]["turns"]
    assert [role for role, _ in turns] == ["user", "assistant"] * 3 + ["user"]
    assert all("#### " in text and "<<" not in text for role, text in turns if role == "assistant")
    assert all(text.endswith("#### number") for role, text in turns if role == "user")
    assert turns[-1][1].startswith(task.question)
    await benchmark.attempt(task, plain)
    assert plain.asked[0]["turns"] == [] and plain.asked[0]["text"].count("Question:") == 4


async def test_every_published_answer_is_right(data: DatasetStore) -> None:
    benchmark = Gsm8k(Gsm8kOptions())
    for task in benchmark.tasks(data):
        scored = await benchmark.attempt(task, ScriptedContext(task.answer))
        assert (scored.passed, scored.metrics["strict"], scored.metrics["flexible"]) == (True, True, True)


async def test_a_wrong_answer_says_what_it_was() -> None:
    benchmark = Gsm8k(Gsm8kOptions())
    scored = await benchmark.attempt(TASK, ScriptedContext("It is 17."))
    assert (scored.passed, scored.reason) == (False, "failed: answered 17, not 18")
    empty = await benchmark.attempt(TASK, ScriptedContext(""))
    assert empty.reason == "failed: no number found, not 18"


async def test_the_headline_reads_as_a_person_and_lm_evals_figures_stand_beside_it() -> None:
    benchmark = Gsm8k(Gsm8kOptions())
    answers = ["#### 18", "It is 18", "It is 17", "#### 18 (of 20)", "#### 36/2", "#### - 18"]
    scored = [await benchmark.attempt(TASK, ScriptedContext(answer)) for answer in answers]
    metrics = [m for m in benchmark.metrics([summary(str(i), s) for i, s in enumerate(scored)]) if m.n == 6]
    assert [s.passed for s in scored] == [True, True, False, True, True, False]
    assert [(m.name, round(6 * m.value)) for m in metrics] == [
        ("exact_match_robust", 4), ("exact_match_flexible", 3), ("exact_match_strict", 2),
    ]  # fmt: skip
