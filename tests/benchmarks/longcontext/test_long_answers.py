"""Answers are read and scored: the reference gets everything, nothing gets nothing, everything gets nothing too."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from stackbench.benchmarks.longcontext import LongContext
from stackbench.benchmarks.longcontext.codebase import files_of
from stackbench.benchmarks.longcontext.haystack import Question
from stackbench.benchmarks.longcontext.judging import judge, reference_of
from stackbench.benchmarks.longcontext.options import LongContextOptions
from stackbench.datasets import DatasetStore
from stackbench.sandbox import CodeJob, CodeResult, Sandbox
from stackbench.types import FinishReason, Generation, Request
from tests.benchmarks.longcontext.long_context import LongScripted, train_tokenizer

ONE = Question("Which?", ("1234567",), shape=r"(?<!\d)\d{7}(?!\d)")
LIST = Question("Which?", ("Alda", "Bero", "Cori"), candidates=("Alda", "Bero", "Cori", "Dena", "Elun", "Faro"))
COUNT = Question("How many?", ("12",), kind="number")
DOCUMENT = Question("Who?", ("Mara Holt",), candidates=("Mara Holt", "Mara Holten"), support=("K101", "B230"))


@pytest.mark.parametrize("question", [ONE, LIST, COUNT, DOCUMENT])
def test_the_reference_is_right_and_an_empty_answer_gets_nothing(question: Question) -> None:
    right, empty = judge(question, reference_of(question), "text"), judge(question, "", "text")
    assert (right.score, right.passed) == (1.0, True)
    assert (empty.score, empty.passed) == (0.0, False)


@pytest.mark.parametrize(
    ("answer", "passed"),
    [
        ("Answer: 1234567", True),
        ("The text has 7654321 too. **Answer:** 1,234,567.", True),
        ("It is 1234567", True),
        ("Answer: 1234567 or 7654321", False),
        ("Answer: 12345678", False),
        ("Answer: none", False),
    ],
)
def test_one_value_is_to_be_named_alone(answer: str, passed: bool) -> None:
    assert judge(ONE, answer, "text").passed is passed


def test_a_list_has_f1_and_containment_side_by_side() -> None:
    some = judge(LIST, "Answer: alda, Bero and Dena", "text")
    assert some.metrics["f1"] == some.score == pytest.approx(2 * 2 / (3 + 3))
    assert some.metrics["containment"] == pytest.approx(1 / 3)  # as the text has it: Alda is written otherwise
    assert not some.passed and some.reason == "failed: named Alda, Bero, Dena, not Alda, Bero, Cori"


def test_an_answer_that_names_everything_gets_no_credit() -> None:
    names = tuple(f"Name{chr(65 + a)}{chr(65 + b)}" for a in range(5) for b in range(5))
    question = Question("Which?", names[:3], candidates=names)
    everything = judge(question, f"Answer: {', '.join(names)}", "text")
    assert (everything.score, everything.metrics["f1"], everything.metrics["containment"]) == (0.0, 0.0, 1.0)


def test_an_answer_that_repeats_the_haystack_gets_no_credit() -> None:
    haystack = "".join(f"Line {number} has a word.\n" for number in range(100)) + "The code is 1234567.\n"
    repeated = judge(ONE, f"Sure: {haystack}", haystack)
    assert (repeated.score, repeated.metrics["repeats"]) == (0.0, True)
    assert judge(ONE, f"{haystack}\nAnswer: 1234567", haystack).passed


@pytest.mark.parametrize(
    ("answer", "score", "near"),
    [("Answer: 12", 1, 1), ("Answer: 14", 0, 0.75**2), ("about nine", 0, 0.75**3), ("?", 0, 0)],
)
def test_a_number_is_exact_and_its_nearness_stands_beside(answer: str, score: float, near: float) -> None:
    judged = judge(COUNT, answer, "text")
    assert (judged.score, judged.metrics["near"]) == (score, pytest.approx(near))


def test_supporting_documents_are_scored_apart() -> None:
    half = judge(DOCUMENT, "Answer: Mara Holt; documents: K101, C999", "text")
    assert half.passed and half.metrics["support_f1"] == pytest.approx(0.5)
    none = judge(DOCUMENT, "Answer: Mara Holt", "text")
    assert none.passed and none.metrics["support_f1"] == 0
    assert not judge(DOCUMENT, "Answer: Mara Holten; documents: K101, B230", "text").passed


async def test_an_answer_at_its_limit_is_truncated() -> None:
    benchmark = LongContext(LongContextOptions(lengths=("1K",), families=("needle",), depths=(50,)))
    task = benchmark.tasks(DatasetStore(Path()))[0]
    cut = LongScripted(train_tokenizer("qwen"), lambda request: Generation("The text says", FinishReason.LENGTH))
    scored = await benchmark.attempt(task, cut)
    assert scored.metrics["truncated"] and scored.reason.startswith("truncated: ")


async def test_closed_book_asks_without_the_text() -> None:
    benchmark = LongContext(
        LongContextOptions(lengths=("4K",), depths=(50,), closed_book=True, families=("needle", "latent"))
    )
    context = LongScripted(train_tokenizer("qwen"), lambda request: "Answer: 1234567")
    for task in benchmark.tasks(DatasetStore(Path())):
        scored = await benchmark.attempt(task, context)
        assert context.tokens(context.sent[-1]) < 200 and not scored.passed


async def test_the_package_runs_and_says_what_the_questions_truths_say(tmp_path: Path) -> None:
    """The generated files are written to disk and executed by Python itself."""
    options = LongContextOptions(lengths=("4K",), depths=(0, 50, 100), families=("codebase",), variants=("returns",))
    benchmark = LongContext(options)
    context = LongScripted(train_tokenizer("qwen"))
    for task in benchmark.tasks(DatasetStore(Path())):
        await benchmark.attempt(task, context)
    text = context.sent[0].messages[0].content
    files = files_of(text.split("Question:")[0])
    for path, body in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(body)
    asked = [request.messages[0].content.split("Question: What does ")[1] for request in context.sent]
    calls = [(one.split("(")[0], one.split(" of ")[1].split(".py")[0].replace("/", ".")) for one in asked]
    program = "import importlib, json, pathlib\n"
    program += "for path in pathlib.Path('workshop').glob('*.py'): importlib.import_module(f'workshop.{path.stem}')\n"
    program += f"print(json.dumps([getattr(importlib.import_module(m), f)(3) for f, m in {calls!r}]))"
    ran = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert [f"Answer: {value}" for value in json.loads(ran.stdout)] == [request.reference for request in context.sent]


class Asking(LongScripted):
    """Runs code in the real sandbox."""

    def __init__(self, sandbox: Sandbox, answer: str | None) -> None:
        super().__init__(train_tokenizer("qwen"), lambda request: _given(request, answer))
        self._sandbox = sandbox

    async def run_code(self, job: CodeJob) -> CodeResult:
        return await self._sandbox.run(job)


def _given(request: Request, answer: str | None) -> str:
    if answer is None:
        return request.reference
    name = request.reference.split("def ")[1].split("(")[0]
    return f"```python\ndef {name}(first, second):\n    {answer}\n```"


@pytest.mark.docker
async def test_a_function_is_completed_from_its_uses_and_executed(sandbox: Sandbox) -> None:
    options = LongContextOptions(lengths=("1K",), depths=(50,), families=("codebase",), variants=("complete",))
    benchmark = LongContext(options)
    (task,) = benchmark.tasks(DatasetStore(Path()))
    assert benchmark.uses_sandbox
    right = await benchmark.attempt(task, Asking(sandbox, None))
    constant = await benchmark.attempt(task, Asking(sandbox, "return 1"))
    unwritten = await benchmark.attempt(task, Asking(sandbox, "raise NotImplementedError"))
    assert [one.passed for one in (right, constant, unwritten)] == [True, False, False]


def test_only_questions_whose_answers_run_need_the_sandbox() -> None:
    assert not LongContext(LongContextOptions(families=("needle", "latent"))).uses_sandbox
