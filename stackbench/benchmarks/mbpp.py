"""MBPP: short Python programs from one sentence and three asserts (Austin et al. 2021, arXiv:2108.07732)."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar, Literal

from stackbench.benchmarks.base import Context, Options, PrepareContext, Sample, near_limit
from stackbench.benchmarks.declared_metrics import MetricKind, amounts, fractions, pass_at
from stackbench.benchmarks.extract import cut_at, read_program
from stackbench.benchmarks.passes import KS, pass_at_k_metrics, task_means, to_metric
from stackbench.datasets import DatasetStore
from stackbench.sandbox import CodeJob, Section
from stackbench.stats import amount, share
from stackbench.types import AttemptSummary, Message, Metric, Request, Scored, Task

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

# Austin et al. 2021, section 4; lm-eval 0.4.13, lm_eval/tasks/mbpp/mbpp.yaml (version 1).
PAPER = (
    "You are an expert Python programmer, and here is your task: {text} Your code should pass these tests:\n\n{tests}\n"
    + BEGIN
    + "\n"
)
PAPER_TOKENS = 256


class MbppOptions(Options):
    """Options of `mbpp`."""

    style: Literal["auto", "chat", "fewshot", "paper"] = "auto"
    """A chat turn with the tests shown, or three examples; auto: chat where there is a template.

    The examples are the paper's, tasks 2, 3 and 4 between its marks; the words around them are this project's own;
    in the form `paper` they are the paper's, as lm-eval's task mbpp has them.
    """
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
    metric_kinds: ClassVar[Sequence[MetricKind]] = (
        pass_at(KS),
        *fractions("execution_accuracy"),
        *amounts("time_to_solution_s"),
    )

    def __init__(self, options: MbppOptions) -> None:
        self.options = options
        self._shots = ""
        self._turns: list[Message] = []
        self._paper: dict[str, str] = {}
        self._paper_shots: list[str] = []

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
        rows = {str(row["task_id"]): row for row in data.rows("mbpp", "full")}
        self._paper = {
            name: PAPER.format(text=row["text"], tests="\n".join(row["test_list"][:3])) for name, row in rows.items()
        }
        self._paper_shots = [f"{self._paper[str(n)]}{rows[str(n)]['code']}\n{DONE}\n\n" for n in EXAMPLES]
        self._shots = "".join(f"{_shot(every[number])}{_unix(every[number].code)}\n{DONE}\n\n" for number in EXAMPLES)
        self._turns = []
        for number in EXAMPLES:
            self._turns += [Message("user", _ask(every[number])), Message("assistant", _fenced(every[number]))]
        return [every[number] for number in TEST_SPLIT]

    def reference(self, task: MbppTask) -> str:
        return task.code

    async def prepare(self, tasks: Sequence[Task], context: PrepareContext) -> None:
        """Nothing to make."""

    async def attempt(self, task: MbppTask, context: Context) -> Scored:
        chat = self.options.style == "chat" or (self.options.style == "auto" and context.chat)
        if chat:
            prompt = _ask(task)
            turns = self._turns if self.options.fewshot_as_turns else []
            generation = await context.generate(
                Request(
                    context.sampling(max_tokens=MAX_TOKENS),
                    messages=(*turns, Message("user", prompt)),
                    reference=f"```python\n{task.code}\n```",
                )
            )
            sample = Sample(await read_program(generation.text, _tested_names(task)))
        elif self.options.style == "paper":
            prompt, shots = self._paper[task.task_id], "".join(self._paper_shots)
            sampling = context.sampling(max_tokens=PAPER_TOKENS, stop=(DONE,))
            generation = await context.generate(
                Request(sampling, prompt=shots + prompt, shared_prefix=len(shots), reference=task.code)
            )
            sample = Sample(cut_at(generation.text, (DONE,)))
        else:
            prompt = _shot(task)
            generation = await context.generate(
                Request(
                    context.sampling(max_tokens=MAX_TOKENS, stop=(DONE,)),
                    prompt=self._shots + prompt,
                    shared_prefix=len(self._shots),
                    reference=task.code,
                )
            )
            sample = Sample(cut_at(generation.text, (DONE,)))
        scored = await self.score(task, sample, context)
        style = self.options.style
        form = style if style != "auto" else "chat" if chat else "fewshot"
        return replace(scored, metrics={**scored.metrics, "form": form}).of(prompt, generation)

    async def score(self, task: MbppTask, sample: Sample, context: Context) -> Scored:
        """Code, then test_setup_code, then the asserts: the only order in which every reference passes."""
        setup = (Section(task.test_setup_code, trusted=True),) if task.test_setup_code else ()
        result = await context.run_code(
            CodeJob(
                sections=(Section(sample.text), *setup),
                checks=task.test_list,
                functions=_names_of_sample(task),
                timeout_s=context.timeout_s or TIMEOUT_S,
            )
        )
        return Scored(
            score=float(result.passed),
            passed=result.passed,
            reason=result.reason,
            metrics={
                "result": result.reason,
                "asserts": len(result.checks),
                "asserts_passed": sum(result.checks),
                "exec_s": result.wall_s,
                **near_limit(result),
            },
            program=sample.text,
        )

    def metrics(self, attempts: Sequence[AttemptSummary]) -> list[Metric]:
        """pass@k; execution accuracy (the share of a task's asserts that pass); time to solution in seconds.

        Both are means over tasks of the mean over a task's attempts, over those that passed for the time.
        """
        found = pass_at_k_metrics(attempts)
        accuracy = task_means(attempts, _asserts_passed)
        if accuracy:
            found.append(to_metric("execution_accuracy", share(list(accuracy.values()))))
        times = task_means(attempts, lambda a: a.latency_s + float(a.metrics["exec_s"]) if a.passed else None)
        if times:
            found.append(to_metric("time_to_solution_s", amount(list(times.values()))))
        return found


def _asserts_passed(attempt: AttemptSummary) -> float | None:
    asserts = int(attempt.metrics["asserts"])
    return int(attempt.metrics["asserts_passed"]) / asserts if asserts else None


def _ask(task: MbppTask) -> str:
    return ASK.format(text=task.text, tests="\n".join(task.test_list))


def _fenced(task: MbppTask) -> str:
    return f"```python\n{_unix(task.code)}\n```"


def _shot(task: MbppTask) -> str:
    return SHOT.format(text=task.text, tests="\n".join(task.test_list))


def _unix(code: str) -> str:
    return code.replace("\r\n", "\n").strip()


def _called_names(texts: Sequence[str]) -> list[str]:
    """The plain names that asserts call, in the order of their calls, the outer before the inner."""
    names: dict[str, None] = {}
    for text in texts:
        try:
            tree = ast.parse(text)
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                names[node.func.id] = None
    return list(names)


@cache
def _names_of_sample(task: MbppTask) -> tuple[str, ...]:
    """The functions and classes of a program that the tests use: those that the reference defines."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about escape sequences in the dataset's programs
        program = ast.parse(task.code)
        tests = ast.parse("\n".join((task.test_setup_code, *task.test_list)))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    defined = {node.name for node in program.body if isinstance(node, functions)}
    used = {node.id for node in ast.walk(tests) if isinstance(node, ast.Name)}
    return tuple(sorted(defined & used))


def _tested_names(task: MbppTask) -> list[str]:
    """Those of them that a solution is to define, as the reference does: the function, rarely a class beside it."""
    called = _called_names((*task.test_list, task.test_setup_code))
    try:
        defined = {getattr(node, "name", "") for node in ast.parse(_unix(task.code)).body}
    except SyntaxError:
        defined = set[str]()
    return [name for name in called if name in defined] or called
