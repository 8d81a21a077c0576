"""HumanEval: 164 Python functions to write from their docstrings (Chen et al. 2021, arXiv:2107.03374)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from stackbench.benchmarks.base import Context, Options, PrepareContext, Sample, near_limit
from stackbench.benchmarks.declared_metrics import MetricKind, pass_at
from stackbench.benchmarks.evalplus_forms import evalplus_request, read_evalplus
from stackbench.benchmarks.extract import cut_at, read_program
from stackbench.benchmarks.passes import KS, pass_at_k_metrics
from stackbench.datasets import DatasetStore
from stackbench.sandbox import CodeJob, Section
from stackbench.types import AttemptSummary, Message, Metric, Request, Scored, Task

__all__ = ["HumanEval", "HumanEvalOptions", "HumanEvalTask", "tests_of"]

TIMEOUT_S = 3.0
MAX_TOKENS = 768
# Chen et al. 2021, section 2.1: text that begins something after the function.
STOP = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
ASK = (
    "Complete the Python function below. Reply with the complete function, with every import it needs, "
    "in a single Python code block.\n\n```python\n{prompt}```"
)


class HumanEvalOptions(Options):
    """Options of `humaneval`."""

    style: Literal["auto", "chat", "completion", "evalplus-chat", "evalplus-base"] = "auto"
    """How to ask: a chat turn, or the bare prompt to continue; auto: chat where the model has a chat template.
    EvalPlus's forms: a chat whose answer has begun, or the bare prompt with its stop texts."""


@dataclass(frozen=True, slots=True)
class HumanEvalTask(Task):
    """One function: its header and docstring, its tests."""

    prompt: str = ""
    entry_point: str = ""
    canonical_solution: str = ""
    test: str = ""


class HumanEval:
    """Implements `Benchmark` and `CodeBenchmark`."""

    name: ClassVar[str] = "humaneval"
    title: ClassVar[str] = "HumanEval: 164 Python functions from docstrings"
    datasets: ClassVar[tuple[str, ...]] = ("humaneval",)
    uses_sandbox: ClassVar[bool] = True
    options_type: ClassVar[type[Options]] = HumanEvalOptions
    metric_kinds: ClassVar[Sequence[MetricKind]] = (pass_at(KS),)

    def __init__(self, options: HumanEvalOptions) -> None:
        self.options = options

    def tasks(self, data: DatasetStore) -> list[HumanEvalTask]:
        return [
            HumanEvalTask(
                row["task_id"],
                prompt=row["prompt"],
                entry_point=row["entry_point"],
                canonical_solution=row["canonical_solution"],
                test=row["test"],
            )
            for row in data.rows("humaneval")
        ]

    def reference(self, task: HumanEvalTask) -> str:
        return task.canonical_solution

    async def prepare(self, tasks: Sequence[Task], context: PrepareContext) -> None:
        """Nothing to make."""

    async def attempt(self, task: HumanEvalTask, context: Context) -> Scored:
        style = self.options.style
        chat = style == "chat" or (style == "auto" and context.chat)
        if style == "evalplus-chat" or style == "evalplus-base":
            prompt, request = evalplus_request(style, "humaneval", task.prompt, task.canonical_solution, context)
            generation = await context.generate(request)
            program = await read_evalplus(style, prompt, generation.text, task.entry_point)
            sample = Sample(program, whole=True)
        elif chat:
            prompt = ASK.format(prompt=task.prompt)
            generation = await context.generate(
                Request(
                    context.sampling(max_tokens=MAX_TOKENS),
                    messages=(Message("user", prompt),),
                    reference=f"```python\n{task.prompt}{task.canonical_solution}```",
                )
            )
            program = await read_program(generation.text, (task.entry_point,), task.prompt)
            sample = Sample(program, whole=True)
        else:
            prompt = task.prompt
            generation = await context.generate(
                Request(
                    context.sampling(max_tokens=MAX_TOKENS, stop=STOP), prompt=prompt, reference=task.canonical_solution
                )
            )
            sample = Sample(cut_at(generation.text, STOP))
        scored = await self.score(task, sample, context)
        form = style if style != "auto" else "chat" if chat else "completion"
        return replace(scored, metrics={**scored.metrics, "form": form}).of(prompt, generation)

    async def score(self, task: HumanEvalTask, sample: Sample, context: Context) -> Scored:
        program = sample.text if sample.whole else task.prompt + sample.text
        result = await context.run_code(
            CodeJob(
                sections=(
                    Section(program),
                    Section(tests_of(task), trusted=True),
                ),
                functions=(task.entry_point,),
                timeout_s=context.timeout_s or TIMEOUT_S,
            )
        )
        return Scored(
            score=float(result.passed),
            passed=result.passed,
            reason=result.reason,
            metrics={"result": result.reason, "exec_s": result.wall_s, **near_limit(result)},
            program=program,
        )

    def metrics(self, attempts: Sequence[AttemptSummary]) -> list[Metric]:
        return pass_at_k_metrics(attempts)


def tests_of(task: HumanEvalTask) -> str:
    """The task's tests. Helpers of the prompt that they use are taken from the prompt, not from the sample."""
    if task.prompt.count("\ndef ") + task.prompt.startswith("def ") < 2:
        return f"{task.test}\ncheck({task.entry_point})"
    return f"_answered = {task.entry_point}\n{task.prompt}\n    pass\n{task.test}\ncheck(_answered)"
