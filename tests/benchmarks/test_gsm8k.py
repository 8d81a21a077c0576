from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from pathlib import Path

import pytest

from stackbench.benchmarks import create_benchmark
from stackbench.benchmarks.gsm8k import Gsm8k, Gsm8kOptions, Gsm8kTask
from stackbench.datasets import DatasetStore
from stackbench.types import Generation
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


@pytest.mark.parametrize("name", ["gsm8k", "mmlu"])
async def test_requests_in_lm_evals_form_equal_lm_evals_own(name: str, data: DatasetStore) -> None:
    """Recorded by `python -m perf.agreement_lm_eval --prompts 50 --record-prompts ...`, from lm-eval's `arguments`."""
    recorded = json.loads((Path(__file__).parent / "lm_eval_prompts.json").read_text())["requests"][f"{name} lm-eval"]
    benchmark = create_benchmark(name, {"style": "lm-eval"})
    tasks = {task.task_id: task for task in benchmark.tasks(data)}
    context = ScriptedContext(Generation("A", choice_logprobs=(0.0,) * 4), scores_choices=True)
    for task_id, digest in recorded.items():
        scored = await benchmark.attempt(tasks[task_id], context)
        asked = context.asked[-1]
        sent = [asked["text"], list(asked["choices"] or asked["stop"])]
        assert hashlib.sha256(json.dumps(sent).encode()).hexdigest() == digest
        assert scored.metrics["form"] == "lm-eval"
    assert len(recorded) == 50


async def test_lm_evals_chat_has_its_examples_as_turns_and_its_limits(data: DatasetStore) -> None:
    benchmark = Gsm8k(Gsm8kOptions(style="lm-eval-chat"))
    task = benchmark.tasks(data)[0]
    context = ScriptedContext("#### 18")
    await benchmark.attempt(task, context)
    turns, asked = context.asked[-1]["turns"], context.asked[-1]
    assert [role for role, _ in turns] == ["user", "assistant"] * 5 + ["user"]
    assert turns[-1][1] == f"Question: {task.question}\nAnswer:"
    assert asked["stop"] == ("Question:", "</s>", "<|im_end|>")
