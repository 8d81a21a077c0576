"""Samples that try to pass the real benchmarks without being right, and what the container is given of a task."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stackbench.benchmarks import Sample
from stackbench.benchmarks.humaneval import HumanEval, HumanEvalOptions
from stackbench.benchmarks.mbpp import Mbpp, MbppOptions
from stackbench.benchmarks.mbppplus import MbppPlus, MbppPlusOptions
from stackbench.datasets import DatasetStore
from stackbench.sandbox import CodeJob, CodeResult
from stackbench.sandbox.scorer import Scorer
from tests.benchmarks.scripted import ScriptedContext

pytestmark = pytest.mark.docker

YES = """
class Yes:
    def __eq__(self, other): return True
    def __hash__(self): return 0
    def __sub__(self, other): return 0
    def __abs__(self): return 0
    def __lt__(self, other): return True
    __rsub__, __gt__, __le__, __ge__, __ne__ = __sub__, __lt__, __lt__, __lt__, __eq__
"""


class Recorder:
    """A sandbox that remembers what it was to run."""

    def __init__(self, sandbox: Scorer) -> None:
        self.jobs: list[CodeJob] = []
        self._sandbox = sandbox

    async def run(self, job: CodeJob) -> CodeResult:
        self.jobs.append(job)
        return await self._sandbox.run(job)

    async def close(self) -> None: ...


async def test_an_object_that_equals_everything_passes_no_benchmark(
    data: DatasetStore, sandbox: Scorer, tmp_path: Path
) -> None:
    context = ScriptedContext(sandbox=sandbox, cache=tmp_path)
    humaneval, mbpp, plus = HumanEval(HumanEvalOptions()), Mbpp(MbppOptions()), MbppPlus(MbppPlusOptions())
    for task in humaneval.tasks(data)[:30]:
        sample = Sample(f"{YES}\ndef {task.entry_point}(*a, **k): return Yes()\n", whole=True)
        scored = await humaneval.score(task, sample, context)
        assert not scored.passed, task.task_id
    for task in mbpp.tasks(data)[:30]:
        name = task.test_list[0].removeprefix("assert").strip().lstrip("(").split("(")[0]
        sample = Sample(f"{YES}\ndef {name}(*a, **k): return Yes()\n")
        if name.isidentifier():
            assert not (await mbpp.score(task, sample, context)).passed, task.task_id
    few = plus.tasks(data)[:5]
    await plus.prepare(few, context)
    for task in few:
        sample = Sample(f"{YES}\ndef {task.entry_point}(*a, **k): return Yes()\n", whole=True)
        scored = await plus.score(task, sample, context)
        assert not scored.passed, task.task_id
        assert not scored.metrics["base_passed"]


@pytest.mark.parametrize("number", [32, 38, 50])
async def test_helpers_of_a_prompt_cannot_be_replaced(data: DatasetStore, sandbox: Scorer, number: int) -> None:
    """The tests of these tasks call a function that the prompt defines beside the one to write."""
    benchmark = HumanEval(HumanEvalOptions())
    task = benchmark.tasks(data)[number]
    helper = task.prompt.split("def ")[1].split("(")[0]
    context = ScriptedContext(sandbox=sandbox)
    cheat = f"\ndef {helper}(*a): return 0\ndef {task.entry_point}(*a): return 0\n"
    assert not (await benchmark.score(task, Sample(task.prompt + "    pass\n" + cheat, whole=True), context)).passed
    assert (await benchmark.score(task, Sample(task.canonical_solution), context)).passed


async def test_the_reference_is_not_sent(data: DatasetStore, sandbox: Scorer) -> None:
    recorder = Recorder(sandbox)
    context = ScriptedContext(sandbox=recorder)
    humaneval, mbpp = HumanEval(HumanEvalOptions()), Mbpp(MbppOptions())
    references: list[str] = []
    for task in humaneval.tasks(data)[:40]:
        await humaneval.score(task, Sample("    return None\n"), context)
        references.append(task.canonical_solution)
    for task in mbpp.tasks(data)[:40]:
        await mbpp.score(task, Sample("x = 1\n"), context)
        references.append(task.code)
    for job, reference in zip(recorder.jobs, references, strict=True):
        sent = json.dumps([[section.code for section in job.sections], job.checks, job.payload])
        assert json.dumps(reference.strip())[1:-1] not in sent
