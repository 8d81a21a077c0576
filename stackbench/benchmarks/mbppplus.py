"""MBPP+ v0.1.0: 399 MBPP tasks with many more inputs (Liu et al. 2023, arXiv:2305.01210), scored as EvalPlus 0.3.1."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar, Literal

from stackbench.benchmarks.base import Context, Options, PrepareContext, Sample, near_limit
from stackbench.benchmarks.declared_metrics import MetricKind, pass_at
from stackbench.benchmarks.evalplus_forms import evalplus_request, read_evalplus
from stackbench.benchmarks.extract import cut_at, read_program
from stackbench.benchmarks.passes import KS, pass_at_k_metrics
from stackbench.datasets import DatasetStore
from stackbench.errors import DataCorruptError, DataError
from stackbench.sandbox import CodeJob, CodeResult, Section
from stackbench.types import AttemptSummary, Message, Metric, Request, Scored, Task

__all__ = ["MbppPlus", "MbppPlusOptions", "MbppPlusTask"]

MAX_TOKENS = 768
# EvalPlus 0.3.1, evalplus/config.py and evalplus/eval/__init__.py: limits per input and per task.
LEAST_LIMIT_S = 1.0
LIMIT_FACTOR = 4.0
TASK_LIMIT_S = 60.0
MEMORY_MIB = 4096
REFERENCE_FACTOR = 4.0
TRUTH_TIMEOUT_S = 180.0
TOO_SLOW = "TooSlow: time limit"
"""The harness's words for an input whose limit of processor time was reached."""
STOP = ('\n"""', "\nassert", "\n#", "\nif __name__", "\nprint(", "\n```")
ASK = (
    "Write the Python function that this docstring asks for. Reply with the code only, with every import it needs, "
    "in a single Python code block.\n\n```python\n{prompt}```"
)


class MbppPlusOptions(Options):
    """Options of `mbppplus`."""

    style: Literal["auto", "chat", "completion", "evalplus-chat", "evalplus-base"] = "auto"
    """How to ask: a chat turn, or the bare docstring to continue; auto: chat where the model has a chat template.
    EvalPlus's forms: a chat whose answer has begun, or the bare docstring with its stop texts."""


@dataclass(frozen=True, slots=True)
class MbppPlusTask(Task):
    """One function with its inputs; expected outputs come from the canonical solution."""

    prompt: str = ""
    entry_point: str = ""
    canonical_solution: str = ""
    base_input: tuple[Any, ...] = ()
    plus_input: tuple[Any, ...] = ()
    atol: float = 0.0
    input_rule: str = ""
    """How its inputs become Python values; see mbppplus_rules.toml."""
    output_rule: str = ""
    """How its outputs are compared, where not by equality."""

    def inputs(self, which: str) -> tuple[Any, ...]:
        return self.base_input if which == "base" else self.plus_input


@dataclass(frozen=True, slots=True)
class Truth:
    """Expected outputs of one task's inputs (pickled in the sandbox, never opened here) and the reference's times."""

    expected: str | None
    """None when they are too large to keep: the reference makes them again beside each sample."""
    seconds: tuple[float, ...]


class MbppPlus:
    """Implements `Benchmark` and `CodeBenchmark`."""

    name: ClassVar[str] = "mbppplus"
    title: ClassVar[str] = "MBPP+ v0.1.0: 399 programs, EvalPlus's base and plus inputs"
    datasets: ClassVar[tuple[str, ...]] = ("mbppplus",)
    uses_sandbox: ClassVar[bool] = True
    options_type: ClassVar[type[Options]] = MbppPlusOptions
    metric_kinds: ClassVar[Sequence[MetricKind]] = (pass_at(KS), pass_at(KS, "base_"))
    ask: ClassVar[str] = ASK
    stop: ClassVar[tuple[str, ...]] = STOP
    evalplus_name: ClassVar[Literal["humaneval", "mbpp"]] = "mbpp"

    def __init__(self, options: MbppPlusOptions) -> None:
        self.options = options
        self._truths: dict[tuple[str, str], Truth] = {}

    def tasks(self, data: DatasetStore) -> list[MbppPlusTask]:
        return [
            MbppPlusTask(
                row["task_id"],
                prompt=row["prompt"],
                entry_point=row["entry_point"],
                canonical_solution=row["canonical_solution"],
                base_input=tuple(row["base_input"]),
                plus_input=tuple(row["plus_input"]),
                atol=float(row["atol"]),
                input_rule=self._rule("inputs", int(row["task_id"].rsplit("/", 1)[-1])),
                output_rule=self._rule("outputs", row["entry_point"]),
            )
            for row in data.rows(self.name)
        ]

    def reference(self, task: MbppPlusTask) -> str:
        return task.canonical_solution

    def _rule(self, part: str, member: str | int) -> str:
        return _rules()[part].get(member, "")

    async def prepare(self, tasks: Sequence[Task], context: PrepareContext) -> None:
        """Expected outputs, computed once per data and harness and kept. Raises DataError when a reference fails."""
        wanted = [(task, which) for task in tasks if isinstance(task, MbppPlusTask) for which in ("base", "plus")]
        names = {(task.task_id, which): _truth_key(task, which) for task, which in wanted}
        kept_at = context.cache / f"{self.name}-truth.json"
        kept = _read_kept(kept_at)
        missing = [(task, which) for task, which in wanted if names[task.task_id, which] not in kept]
        if missing:
            context.say(f"{self.name}: computing expected outputs of {len(missing)} input sets (once)")
            truths = await asyncio.gather(*(_truth(task, which, context) for task, which in missing))
            for (task, which), truth in zip(missing, truths, strict=True):
                kept[names[task.task_id, which]] = truth
            _write_kept(kept_at, kept)
        self._truths = {name: kept[key] for name, key in names.items()}

    async def attempt(self, task: MbppPlusTask, context: Context) -> Scored:
        style = self.options.style
        chat = style == "chat" or (style == "auto" and context.chat)
        reference = task.prompt + task.canonical_solution
        if style == "evalplus-chat" or style == "evalplus-base":
            prompt, request = evalplus_request(style, self.evalplus_name, task.prompt, task.canonical_solution, context)
            generation = await context.generate(request)
            program = await read_evalplus(style, prompt, generation.text, task.entry_point)
            sample = Sample(program, whole=True)
        elif chat:
            prompt = self.ask.format(prompt=task.prompt)
            generation = await context.generate(
                Request(
                    context.sampling(max_tokens=MAX_TOKENS),
                    messages=(Message("user", prompt),),
                    reference=f"```python\n{reference}\n```",
                )
            )
            sample = Sample(await self._read(generation.text, task), whole=True)
        else:
            prompt = task.prompt
            generation = await context.generate(
                Request(
                    context.sampling(max_tokens=MAX_TOKENS, stop=self.stop),
                    prompt=prompt,
                    reference=task.canonical_solution,
                )
            )
            sample = Sample(cut_at(generation.text, self.stop))
        scored = await self.score(task, sample, context)
        form = style if style != "auto" else "chat" if chat else "completion"
        return replace(scored, metrics={**scored.metrics, "form": form}).of(prompt, generation)

    async def _read(self, answer: str, task: MbppPlusTask) -> str:
        return await read_program(answer, (task.entry_point,))

    async def score(self, task: MbppPlusTask, sample: Sample, context: Context) -> Scored:
        program = sample.text if sample.whole else task.prompt + sample.text
        base, plus = await asyncio.gather(
            self._check(task, "base", program, context), self._check(task, "plus", program, context)
        )
        passed = base.passed and plus.passed
        worse = base if not base.passed else plus
        return Scored(
            score=float(passed),
            passed=passed,
            reason=worse.reason,
            metrics={
                "result": worse.reason,
                "base": base.reason,
                "plus": plus.reason,
                "base_passed": base.passed,
                "exec_s": base.wall_s + plus.wall_s,
                **({"near_limit": True} if TOO_SLOW in worse.reason else near_limit(base, plus)),
            },
            program=program,
        )

    def metrics(self, attempts: Sequence[AttemptSummary]) -> list[Metric]:
        """pass@k on base and plus inputs (MBPP+), and `base_pass@k` on the base inputs alone."""
        return [
            *pass_at_k_metrics(attempts),
            *pass_at_k_metrics(attempts, prefix="base_", passed=lambda attempt: bool(attempt.metrics["base_passed"])),
        ]

    async def _check(self, task: MbppPlusTask, which: str, program: str, context: Context) -> CodeResult:
        truth = self._truths[task.task_id, which]
        limits = [max(LEAST_LIMIT_S, LIMIT_FACTOR * seconds) for seconds in truth.seconds]
        payload = _payload(task, which) | {"make": False, "expected": truth.expected, "limits_s": limits}
        # EvalPlus's limit of a task, but never less than on a machine so slow that the reference alone would reach it.
        whole_s = max(min(TASK_LIMIT_S, sum(limits)), LIMIT_FACTOR * sum(truth.seconds))
        limit_s = context.timeout_s or whole_s + 1.0
        if truth.expected is None:
            payload["reference"] = task.prompt + task.canonical_solution
            limit_s += REFERENCE_FACTOR * sum(truth.seconds) + 1.0
        return await context.run_code(
            CodeJob(
                sections=(Section(program), Section(_harness(), trusted=True, apart=True)),
                payload=json.dumps(payload),
                timeout_s=limit_s,
                memory_mib=MEMORY_MIB,
            )
        )


async def _truth(task: MbppPlusTask, which: str, context: PrepareContext) -> Truth:
    program = task.prompt + task.canonical_solution
    result = await context.run_code(
        CodeJob(
            sections=(Section(program), Section(_harness(), trusted=True, apart=True)),
            payload=json.dumps(_payload(task, which) | {"make": True}),
            timeout_s=TRUTH_TIMEOUT_S,
            memory_mib=MEMORY_MIB,
            result_mib=4,
        )
    )
    if result.result is None:
        raise DataError(f"{task.task_id}: the canonical solution gives no {which} outputs: {result.reason}")
    answer = json.loads(result.result)
    return Truth(answer["expected"], tuple(answer["seconds"]))


def _payload(task: MbppPlusTask, which: str) -> dict[str, Any]:
    return {
        "entry_point": task.entry_point,
        "inputs": task.inputs(which),
        "atol": task.atol,
        "input_rule": task.input_rule,
        "output_rule": task.output_rule,
    }


@cache
def _harness() -> str:
    return resources.files("stackbench.benchmarks").joinpath("mbppplus_harness.py").read_text(encoding="utf-8")


@cache
def _rules() -> dict[str, dict[Any, str]]:
    """Rule by task number (inputs) and by entry point (outputs)."""
    text = resources.files("stackbench.benchmarks").joinpath("mbppplus_rules.toml").read_text(encoding="utf-8")
    return {
        part: {member: rule for rule, members in rules.items() for member in members}
        for part, rules in tomllib.loads(text).items()
    }


def _truth_key(task: MbppPlusTask, which: str) -> str:
    parts = (_harness(), task.prompt, task.canonical_solution, json.dumps(_payload(task, which)))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _read_kept(path: Path) -> dict[str, Truth]:
    if not path.is_file():
        return {}
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {key: Truth(value["expected"], tuple(value["seconds"])) for key, value in kept.items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataCorruptError(f"{path} is damaged ({error}); remove it, it will be made again") from error


def _write_kept(path: Path, kept: dict[str, Truth]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    data = {key: {"expected": truth.expected, "seconds": truth.seconds} for key, truth in kept.items()}
    fresh.write_text(json.dumps(data), encoding="utf-8")
    os.replace(fresh, path)
