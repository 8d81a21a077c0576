"""Carries out a declared benchmark: asks, takes the answer out of the text, and counts it by the metric."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from stackbench.benchmarks.base import Context, Options, PrepareContext, Sample, near_limit
from stackbench.benchmarks.declared.data_rows import sha256_of_file
from stackbench.benchmarks.declared.declared_tasks import DeclaredTask, Example, data_files, read_tasks
from stackbench.benchmarks.declared.definition import Definition
from stackbench.benchmarks.declared.patterns_of_answers import last_match
from stackbench.benchmarks.declared_metrics import MetricKind
from stackbench.benchmarks.extract import read_program
from stackbench.benchmarks.letter_answers import find_letter
from stackbench.benchmarks.number_answers import read_answer, shown_number
from stackbench.benchmarks.passes import KS, pass_at_k_metrics
from stackbench.datasets import DatasetStore
from stackbench.errors import AttemptError, UsageError
from stackbench.sandbox import CodeJob, Section
from stackbench.types import AttemptSummary, Message, Metric, Request, Scored, Task

__all__ = ["DeclaredBenchmark", "DeclaredCode", "DeclaredOptions", "make_declared"]

SHOWN_OF_ANSWER = 80


class DeclaredOptions(Options):
    """What a plan records of a declared benchmark, so that another process, or a later one, finds it again."""

    definition: str
    """The absolute path of its YAML file."""
    sha256: dict[str, str]
    """Of its files, by their names in the definition."""


class DeclaredBenchmark:
    """Implements `Benchmark`, `CodeBenchmark`, `DeclaredMetrics`, `CategorisedMetrics` and `HashedFiles`."""

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""
    datasets: ClassVar[tuple[str, ...]] = ()
    uses_sandbox: ClassVar[bool] = False
    options_type: ClassVar[type[Options]] = DeclaredOptions
    metric_kinds: Sequence[MetricKind]

    def __init__(self, definition: Definition, options: DeclaredOptions) -> None:
        self.options = options
        self.definition = definition
        self.file_hashes = dict(options.sha256)
        by_category = bool(definition.category)
        code = definition.metric == "code"
        accuracy = [] if code else [MetricKind("acc", by_category=by_category)]
        self.metric_kinds = (*accuracy, MetricKind("pass@K", KS if code else KS[1:], by_category=by_category))
        self._examples: list[Example] = []

    def tasks(self, data: DatasetStore) -> list[DeclaredTask]:
        path = Path(self.options.definition)
        for name, file in data_files(path, self.definition).items():
            found, recorded = sha256_of_file(file), self.options.sha256.get(name, "")
            if found != recorded:
                raise UsageError(
                    f"{file} was altered since the run was planned: its sha256 is {found}, it was {recorded}; "
                    "put the file back, or start a new run"
                )
        tasks, self._examples = read_tasks(path, self.definition)
        return tasks

    async def prepare(self, tasks: Sequence[Task], context: PrepareContext) -> None:
        """Nothing to make."""

    async def attempt(self, task: DeclaredTask, context: Context) -> Scored:
        generation = await context.generate(self._request(task, context))
        scored = await self._scored(task, generation.text, context)
        return scored.of(task.prompt, generation)

    async def score(self, task: DeclaredTask, sample: Sample, context: Context) -> Scored:
        """A sample is a model's whole answer, and is read as one."""
        return await self._scored(task, sample.text, context)

    def metric_categories(self, tasks: Sequence[Task]) -> set[str]:
        return {task.category for task in tasks if task.category}

    def metrics(self, attempts: Sequence[AttemptSummary]) -> list[Metric]:
        """Over all tasks, then over those of each category."""
        found = self._named(pass_at_k_metrics(attempts))
        by_category: dict[str, list[AttemptSummary]] = defaultdict(list)
        for attempt in attempts:
            by_category[attempt.category].append(attempt)
        for category, inside in sorted(by_category.items()):
            if category:
                found += [replace(metric, category=category) for metric in self._named(pass_at_k_metrics(inside))]
        return found

    def _named(self, metrics: Sequence[Metric]) -> list[Metric]:
        if self.definition.metric == "code":
            return list(metrics)
        return [replace(metric, name="acc") if metric.name == "pass@1" else metric for metric in metrics]

    def _request(self, task: DeclaredTask, context: Context) -> Request:
        wanted = self.definition
        sampling = context.sampling(max_tokens=wanted.max_tokens, stop=wanted.stop)
        reference = task.answers[0] if task.answers else ""
        if wanted.style == "chat" or (wanted.style == "auto" and context.chat):
            turns = [Message("system", wanted.system)] if wanted.system else []
            for example in self._examples:
                turns += [Message("user", example.prompt), Message("assistant", example.answer)]
            return Request(sampling, messages=(*turns, Message("user", task.prompt)), reference=reference)
        before = f"{wanted.system}\n\n" if wanted.system else ""
        before += "".join(f"{example.prompt} {example.answer}\n\n" for example in self._examples)
        return Request(sampling, prompt=before + task.prompt, shared_prefix=len(before), reference=reference)

    async def _scored(self, task: DeclaredTask, text: str, context: Context) -> Scored:
        taken = await self._extracted(task, text)
        passed, answered = self._judged(task, taken)
        expected = " or ".join(one[:SHOWN_OF_ANSWER] for one in task.answers)
        shown = f"answered {answered[:SHOWN_OF_ANSWER]}" if answered else "no answer found"
        return Scored(
            score=float(passed),
            passed=passed,
            reason=f"passed: {shown}" if passed else f"failed: {shown}, not {expected}",
            metrics={"answer": answered or None},
        )

    async def _extracted(self, task: DeclaredTask, text: str) -> str:
        """What counts of the text; empty where there is nothing."""
        if self.definition.reading == "regex":
            try:
                return await asyncio.to_thread(last_match, self.definition.pattern, text) or ""
            except TimeoutError as error:
                raise AttemptError(
                    f"the pattern of {self.definition.name} takes too long on this answer; make it simpler"
                ) from error
        if self.definition.reading == "code":
            return await read_program(text, (task.entry_point,) if task.entry_point else ())
        return text

    def _judged(self, task: DeclaredTask, text: str) -> tuple[bool, str]:
        """Whether the answer is right, and the answer."""
        match self.definition.metric:
            case "number":
                number = read_answer(text)
                return number in task.numbers, "" if number is None else shown_number(number)
            case "choice":
                letter = find_letter(text, task.choices)
                return letter in task.answers, letter
            case _:
                answer = text.strip()
                return self._plain(answer) in {self._plain(one.strip()) for one in task.answers}, answer

    def _plain(self, text: str) -> str:
        return text.casefold() if self.definition.ignore_case else text


class DeclaredCode(DeclaredBenchmark):
    """One whose answers are programs with tests."""

    uses_sandbox: ClassVar[bool] = True

    async def score(self, task: DeclaredTask, sample: Sample, context: Context) -> Scored:
        """A sample is the whole program, whether it is called solution or completion."""
        result = await context.run_code(
            CodeJob(
                sections=(Section(sample.text), Section(task.tests, trusted=True)),
                functions=(task.entry_point,),
                timeout_s=context.timeout_s or self.definition.timeout_s,
            )
        )
        return Scored(
            score=float(result.passed),
            passed=result.passed,
            reason=result.reason,
            metrics={"result": result.reason, "exec_s": result.wall_s, **near_limit(result)},
            program=sample.text,
        )

    async def _scored(self, task: DeclaredTask, text: str, context: Context) -> Scored:
        return await self.score(task, Sample(await self._extracted(task, text), whole=True), context)


def make_declared(definition: Definition, options: DeclaredOptions) -> DeclaredBenchmark:
    """The benchmark of a definition."""
    kind = DeclaredCode if definition.metric == "code" else DeclaredBenchmark
    return kind(definition, options)
