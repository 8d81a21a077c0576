"""MBPP: short Python programs from one sentence and three asserts (Austin et al. 2021, arXiv:2108.07732)."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from stackbench.benchmarks.base import Context, Options, PrepareContext, Sample, failure
from stackbench.benchmarks.extract import extract_code
from stackbench.benchmarks.passes import pass_at_k_metrics, to_metric
from stackbench.datasets import DatasetStore
from stackbench.sandbox import CodeJob, Section
from stackbench.stats import clustered_mean, mean
from stackbench.types import AttemptSummary, Message, Metric, Scored, Task

__all__ = ["Mbpp", "MbppOptions", "MbppTask"]

TIMEOUT_S = 5.0
MAX_TOKENS = 768
TEST_SPLIT = range(11, 511)
# Austin et al. 2021, section 4: tasks 2, 3 and 4 of the prompt split are the examples; [BEGIN] and [DONE] mark code.
EXAMPLES = (2, 3, 4)
BEGIN, DONE = "[BEGIN]", "[DONE]"
ASK = (
    "{text}\n\nYour Python code must pass these tests:\n```python\n{tests}\n```\n"
    "Reply with the code only, in a single Python code block, without the tests."
)
SHOT = "Python programming task: {text}\nThe code has to pass these tests:\n{tests}\n" + BEGIN + "\n"


class MbppOptions(Options):
    """Options of `mbpp`."""

    style: Literal["auto", "chat", "fewshot"] = "auto"
    """A chat turn with the tests shown, or the paper's 3-shot prompt; auto: chat where there is a template."""
    fewshot_as_turns: bool = False
    """In a chat, show the examples as earlier turns of it: a question of the user's, an answer of the assistant's."""


@dataclass(frozen=True, slots=True)
class MbppTask(Task):
    """One program: the sentence, the asserts, the reference."""

    text: str = ""
    code: str = ""
    test_setup_code: str = ""
    test_list: tuple[str, ...] = ()


class Mbpp:
    """Implements `Benchmark` and `CodeBenchmark` on the 500 rows of the test split."""

    name: ClassVar[str] = "mbpp"
    title: ClassVar[str] = "MBPP: 500 short Python programs, three asserts each"
    datasets: ClassVar[tuple[str, ...]] = ("mbpp",)
    uses_sandbox: ClassVar[bool] = True
    options_type: ClassVar[type[Options]] = MbppOptions

    def __init__(self, options: MbppOptions) -> None:
        self.options = options
        self._shots = ""
        self._turns: list[Message] = []

    def tasks(self, data: DatasetStore) -> list[MbppTask]:
        every = {
            row["task_id"]: MbppTask(
                str(row["task_id"]),
                text=row["text"].strip(),
                code=row["code"],
                test_setup_code=row["test_setup_code"],
                test_list=tuple(row["test_list"]),
            )
            for row in data.rows("mbpp", "full")
        }
        self._shots = "".join(f"{_shot(every[number])}{_unix(every[number].code)}\n{DONE}\n\n" for number in EXAMPLES)
        self._turns = []
        for number in EXAMPLES:
            self._turns += [Message("user", _ask(every[number])), Message("assistant", _fenced(every[number]))]
        return [every[number] for number in TEST_SPLIT]

    async def prepare(self, tasks: Sequence[Task], context: PrepareContext) -> None:
        """Nothing to make."""

    async def attempt(self, task: MbppTask, context: Context) -> Scored:
        chat = self.options.style == "chat" or (self.options.style == "auto" and context.chat)
        if chat:
            prompt = _ask(task)
            turns = self._turns if self.options.fewshot_as_turns else []
            generation = await context.generate(
                context.sampling(max_tokens=MAX_TOKENS),
                messages=[*turns, Message("user", prompt)],
                reference=f"```python\n{task.code}\n```",
            )
            sample = Sample(extract_code(generation.text, _tested_name(task)))
        else:
            prompt = self._shots + _shot(task)
            generation = await context.generate(
                context.sampling(max_tokens=MAX_TOKENS, stop=(DONE,)), prompt=prompt, reference=task.code
            )
            sample = Sample(generation.text)
        scored = await self.score(task, sample, context)
        return scored.of(prompt, generation)

    async def score(self, task: MbppTask, sample: Sample, context: Context) -> Scored:
        """Code, then test_setup_code, then the asserts: the only order in which every reference passes."""
        setup = (Section(task.test_setup_code, trusted=True),) if task.test_setup_code else ()
        result = await context.run_code(
            CodeJob(
                sections=(Section(sample.text), *setup),
                checks=task.test_list,
                guarded=tuple(_called_names(task)),
                timeout_s=context.timeout_s or TIMEOUT_S,
            )
        )
        return Scored(
            score=float(result.passed),
            passed=result.passed,
            reason=failure(result.reason),
            metrics={
                "result": result.reason,
                "asserts": len(result.checks),
                "asserts_passed": sum(result.checks),
                "exec_s": result.wall_s,
            },
        )

    def metrics(self, attempts: Sequence[AttemptSummary]) -> list[Metric]:
        """pass@k; execution accuracy (share of asserts that pass, clustered by task); time to solution in seconds."""
        found = pass_at_k_metrics(attempts)
        outcomes: list[float] = []
        clusters: list[str] = []
        for attempt in attempts:
            total, passed = int(attempt.metrics["asserts"]), int(attempt.metrics["asserts_passed"])
            outcomes += [1.0] * passed + [0.0] * (total - passed)
            clusters += [attempt.key.task_id] * total
        if outcomes:
            found.append(to_metric("execution_accuracy", clustered_mean(outcomes, clusters)))
        times = [a.latency_s + float(a.metrics["exec_s"]) for a in attempts if a.passed]
        if times:
            found.append(to_metric("time_to_solution_s", mean(times)))
        return found


def _ask(task: MbppTask) -> str:
    return ASK.format(text=task.text, tests="\n".join(task.test_list))


def _fenced(task: MbppTask) -> str:
    return f"```python\n{_unix(task.code)}\n```"


def _shot(task: MbppTask) -> str:
    return SHOT.format(text=task.text, tests="\n".join(task.test_list))


def _unix(code: str) -> str:
    return code.replace("\r\n", "\n").strip()


def _called_names(task: MbppTask) -> list[str]:
    """The plain names that the asserts call: functions of the sample among them are guarded."""
    names: set[str] = set()
    for test in task.test_list:
        try:
            tree = ast.parse(test)
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                names.add(node.func.id)
    return sorted(names)


def _tested_name(task: MbppTask) -> str:
    """The function that the first assert calls, as far as the text shows it."""
    head = task.test_list[0].removeprefix("assert").strip().lstrip("(")
    name = head.split("(", 1)[0].strip()
    return name if name.isidentifier() else ""
