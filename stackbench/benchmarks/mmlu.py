"""MMLU: 14,042 four-way questions in 57 subjects (Hendrycks et al. 2021, arXiv:2009.03300)."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, ClassVar, Literal

from pydantic import Field

from stackbench.benchmarks.base import Context, Options, PrepareContext
from stackbench.benchmarks.passes import to_metric
from stackbench.datasets import DatasetStore
from stackbench.stats import clustered_mean, proportion
from stackbench.types import AttemptSummary, Generation, Message, Metric, Scored, Task

__all__ = ["Mmlu", "MmluOptions", "MmluTask", "find_letter"]

LETTERS = "ABCD"
MAX_TOKENS = 32
ASK = "\nReply with the letter of the right answer and nothing else."
SAID = re.compile(r"(?:answer|option|choice)\s*(?:is|:)?\s*[*(\"']*([A-D])\b", re.IGNORECASE)
LETTER = re.compile(r"\b([A-D])\b")


class MmluOptions(Options):
    """Options of `mmlu`."""

    style: Literal["auto", "chat", "completion"] = "auto"
    """auto: the letters' log-probabilities after a bare few-shot prompt where the model takes one, else a chat turn."""
    shots: int = Field(default=5, ge=0, le=5)
    """Examples of the same subject from the dev split."""
    fewshot_as_turns: bool = False
    """In a chat, show the examples as earlier turns of it: a question of the user's, an answer of the assistant's."""


@dataclass(frozen=True, slots=True)
class MmluTask(Task):
    """One question; `category` is its subject."""

    question: str = ""
    choices: tuple[str, ...] = ()
    answer: int = 0


class Mmlu:
    """Implements `Benchmark`."""

    name: ClassVar[str] = "mmlu"
    title: ClassVar[str] = "MMLU: 14,042 four-way questions in 57 subjects"
    datasets: ClassVar[tuple[str, ...]] = ("mmlu",)
    uses_sandbox: ClassVar[bool] = False
    options_type: ClassVar[type[Options]] = MmluOptions

    def __init__(self, options: MmluOptions) -> None:
        self.options = options
        self._shots: dict[str, str] = {}
        self._turns: dict[str, list[Message]] = {}

    def tasks(self, data: DatasetStore) -> list[MmluTask]:
        examples: dict[str, list[str]] = defaultdict(list)
        turns: dict[str, list[Message]] = defaultdict(list)
        for row in data.rows("mmlu", "dev"):
            if len(examples[row["subject"]]) < self.options.shots:
                question, letter = _question(_task(row, 0)), LETTERS[row["answer"]]
                examples[row["subject"]].append(f"{question} {letter}\n\n")
                turns[row["subject"]] += [Message("user", question + ASK), Message("assistant", letter)]
        self._turns = dict(turns)
        self._shots = {
            subject: f"Multiple-choice questions on {subject.replace('_', ' ')}, with answers.\n\n{''.join(found)}"
            for subject, found in examples.items()
        }
        numbers: dict[str, int] = defaultdict(int)
        tasks: list[MmluTask] = []
        for row in data.rows("mmlu"):
            tasks.append(_task(row, numbers[row["subject"]]))
            numbers[row["subject"]] += 1
        return tasks

    async def prepare(self, tasks: Sequence[Task], context: PrepareContext) -> None:
        """Nothing to make."""

    async def attempt(self, task: MmluTask, context: Context) -> Scored:
        style = self.options.style
        if style == "auto":
            style = "completion" if context.plain_prompts else "chat"
        as_turns = style == "chat" and self.options.fewshot_as_turns
        prompt = ("" if as_turns else self._shots.get(task.category, "")) + _question(task)
        reference = LETTERS[task.answer]
        sampling = context.sampling(max_tokens=MAX_TOKENS)
        if style == "chat":
            prompt += ASK
            choices = list(LETTERS) if context.scores_choices else ()
            turns = self._turns.get(task.category, []) if as_turns else []
            generation = await context.generate(
                sampling, messages=[*turns, Message("user", prompt)], choices=choices, reference=reference
            )
        else:
            choices = [f" {letter}" for letter in LETTERS] if context.scores_choices else ()
            generation = await context.generate(
                sampling.with_stop("\n"), prompt=prompt, choices=choices, reference=reference
            )
        chosen = _chosen(generation)
        passed = chosen == reference
        return Scored(
            score=float(passed),
            passed=passed,
            reason="" if passed else f"failed: answered {chosen or 'no letter'}, not {reference}",
            metrics={"answer": chosen, "by": "logprob" if generation.choice_logprobs else "text"},
        ).of(prompt, generation)

    def metrics(self, attempts: Sequence[AttemptSummary]) -> list[Metric]:
        """Accuracy over questions (micro), over subjects (macro), by group and by subject."""
        if not attempts:
            return []
        scores = [float(bool(attempt.passed)) for attempt in attempts]
        subjects = [attempt.category for attempt in attempts]
        found = [
            to_metric("acc", clustered_mean(scores, subjects)),
            to_metric("acc_macro", clustered_mean(scores, subjects, weight_clusters=True)),
        ]
        for group, members in _groups().items():
            inside = [(s, c) for s, c in zip(scores, subjects, strict=True) if c in members]
            if inside:
                estimate = clustered_mean([s for s, _ in inside], [c for _, c in inside])
                found.append(to_metric("acc", estimate, group))
        by_subject: dict[str, list[float]] = defaultdict(list)
        for score, subject in zip(scores, subjects, strict=True):
            by_subject[subject].append(score)
        for subject, values in sorted(by_subject.items()):
            found.append(to_metric("acc", proportion(int(sum(values)), len(values)), subject))
        return found


def find_letter(text: str) -> str:
    """The letter that an answer names: said to be the answer, or else the first that stands alone. Empty for none."""
    said = SAID.search(text)
    if said:
        return said.group(1).upper()
    alone = LETTER.search(text)
    return alone.group(1) if alone else ""


def _chosen(generation: Generation) -> str:
    if generation.choice_logprobs:
        return LETTERS[max(range(len(LETTERS)), key=generation.choice_logprobs.__getitem__)]
    return find_letter(generation.text)


def _task(row: dict[str, Any], number: int) -> MmluTask:
    return MmluTask(
        f"{row['subject']}/{number}", row["subject"], row["question"], tuple(row["choices"]), int(row["answer"])
    )


def _question(task: MmluTask) -> str:
    options = "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, task.choices, strict=True))
    return f"{task.question.strip()}\n{options}\nAnswer:"


def _groups() -> dict[str, list[str]]:
    text = resources.files("stackbench.benchmarks").joinpath("mmlu_groups.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
