"""GSM8K: 1,319 grade-school word problems with a number for an answer (Cobbe et al. 2021, arXiv:2110.14168)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import ClassVar, Literal

from pydantic import Field

from stackbench.benchmarks.base import Context, Options, PrepareContext
from stackbench.benchmarks.passes import pass_at_k_metrics
from stackbench.datasets import DatasetStore
from stackbench.types import AttemptSummary, Message, Metric, Scored, Task

__all__ = ["Gsm8k", "Gsm8kOptions", "Gsm8kTask", "last_number", "parse_number", "strict_answer"]

MAX_TOKENS = 512
STOP = ("\nQuestion:",)
ASK = (
    "{question}\n\nWork through the problem step by step. Then write the final answer, a bare number, on a last line "
    "of the form:\n#### number"
)
STRICT = re.compile(r"####\s*([-+]?[$€£]?\s*[-+]?\d[\d,]*(?:\.\d+)?|[-+]?[$€£]?\.\d+)")
NUMBER = re.compile(r"[-+]?[$€£]?\d[\d,]*(?:\.\d+)?|[-+]?[$€£]?\.\d+")
CALCULATOR = re.compile(r"<<[^<>]*>>")


class Gsm8kOptions(Options):
    """Options of `gsm8k`."""

    style: Literal["auto", "chat", "fewshot"] = "auto"
    """One chat turn without examples, or few-shot chain of thought; auto: chat where there is a template."""
    shots: int = Field(default=8, ge=0, le=100)
    """Examples in the few-shot prompt, the first rows of the training split."""
    fewshot_as_turns: bool = False
    """In a chat, show the examples as earlier turns of it: a question of the user's, an answer of the assistant's."""


@dataclass(frozen=True, slots=True)
class Gsm8kTask(Task):
    """One problem with its worked answer."""

    question: str = ""
    answer: str = ""
    number: Decimal = Decimal(0)


class Gsm8k:
    """Implements `Benchmark`."""

    name: ClassVar[str] = "gsm8k"
    title: ClassVar[str] = "GSM8K: 1,319 grade-school maths problems"
    datasets: ClassVar[tuple[str, ...]] = ("gsm8k",)
    uses_sandbox: ClassVar[bool] = False
    options_type: ClassVar[type[Options]] = Gsm8kOptions

    def __init__(self, options: Gsm8kOptions) -> None:
        self.options = options
        self._shots = ""
        self._turns: list[Message] = []

    def tasks(self, data: DatasetStore) -> list[Gsm8kTask]:
        examples = data.rows("gsm8k", "train")[: self.options.shots]
        self._shots = "".join(
            f"Question: {row['question']}\nAnswer: {CALCULATOR.sub('', row['answer'])}\n\n" for row in examples
        )
        self._turns = [
            turn
            for row in examples
            for turn in (
                Message("user", ASK.format(question=row["question"])),
                Message("assistant", CALCULATOR.sub("", row["answer"])),
            )
        ]
        tasks: list[Gsm8kTask] = []
        for index, row in enumerate(data.rows("gsm8k")):
            number = parse_number(row["answer"].rsplit("####", 1)[-1])
            assert number is not None, f"row {index} has no final number"
            tasks.append(Gsm8kTask(f"gsm8k/{index}", question=row["question"], answer=row["answer"], number=number))
        return tasks

    async def prepare(self, tasks: Sequence[Task], context: PrepareContext) -> None:
        """Nothing to make."""

    async def attempt(self, task: Gsm8kTask, context: Context) -> Scored:
        if self.options.style == "chat" or (self.options.style == "auto" and context.chat):
            prompt = ASK.format(question=task.question)
            turns = self._turns if self.options.fewshot_as_turns else []
            generation = await context.generate(
                context.sampling(max_tokens=MAX_TOKENS),
                messages=[*turns, Message("user", prompt)],
                reference=task.answer,
            )
        else:
            prompt = f"{self._shots}Question: {task.question}\nAnswer:"
            generation = await context.generate(
                context.sampling(max_tokens=MAX_TOKENS, stop=STOP), prompt=prompt, reference=task.answer
            )
        strict, flexible = strict_answer(generation.text), last_number(generation.text)
        passed = flexible is not None and flexible == task.number
        shown = "no number found" if flexible is None else f"answered {flexible}"
        return Scored(
            score=float(passed),
            passed=passed,
            reason="" if passed else f"failed: {shown}, not {task.number}",
            metrics={
                "strict": strict is not None and strict == task.number,
                "flexible": passed,
                "answer": None if flexible is None else str(flexible),
            },
        ).of(prompt, generation)

    def metrics(self, attempts: Sequence[AttemptSummary]) -> list[Metric]:
        """Accuracy by the last number written (`flexible`) and by `#### n` alone (`strict`), as lm-eval names them."""
        return [
            *_accuracy(attempts, "flexible"),
            *_accuracy(attempts, "strict"),
        ]


def _accuracy(attempts: Sequence[AttemptSummary], how: str) -> list[Metric]:
    found = pass_at_k_metrics(attempts, passed=lambda attempt: bool(attempt.metrics[how]))
    name = {"pass@1": f"exact_match_{how}"}
    return [
        Metric(name.get(m.name, f"{m.name}_{how}"), m.value, m.stderr, m.ci_low, m.ci_high, m.n, m.category)
        for m in found
    ]


def strict_answer(text: str) -> Decimal | None:
    """The number after the first `####`."""
    found = STRICT.search(text)
    return parse_number(found.group(1)) if found else None


def last_number(text: str) -> Decimal | None:
    """The last number in the text."""
    found = NUMBER.findall(text)
    return parse_number(found[-1]) if found else None


def parse_number(text: str) -> Decimal | None:
    """A number as people write it: thousands commas, currency, percent and unit signs aside. None where there is none.

    `1,000.00`, `$1000` and `1000` are equal; so are `50%` and `50`, since the answers carry no signs.
    """
    found = NUMBER.search(text.strip())
    if found is None:
        return None
    try:
        return Decimal(re.sub(r"[,$€£\s]", "", found.group(0)))
    except InvalidOperation:
        return None
