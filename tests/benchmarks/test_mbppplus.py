from __future__ import annotations

from pathlib import Path

import pytest

from stackbench.benchmarks import Sample
from stackbench.benchmarks.mbppplus import MbppPlus, MbppPlusOptions, MbppPlusTask
from stackbench.datasets import DatasetStore
from stackbench.sandbox.scorer import Scorer
from stackbench.types import Scored
from tests.benchmarks.scripted import ScriptedContext, summary

pytestmark = pytest.mark.docker

# One of each rule for inputs and outputs, besides plain ones.
CHOSEN = ("Mbpp/2", "Mbpp/63", "Mbpp/75", "Mbpp/115", "Mbpp/124", "Mbpp/250", "Mbpp/278", "Mbpp/307", "Mbpp/722",
          "Mbpp/252", "Mbpp/580", "Mbpp/737", "Mbpp/430")  # fmt: skip


@pytest.fixture(scope="module")
async def ready(
    data: DatasetStore, sandbox: Scorer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[MbppPlus, dict[str, MbppPlusTask], Path]:
    benchmark, cache = MbppPlus(MbppPlusOptions()), tmp_path_factory.mktemp("cache")
    tasks = {task.task_id: task for task in benchmark.tasks(data)}
    assert len(tasks) == 399
    chosen = {name: tasks[name] for name in CHOSEN if name in tasks}
    context = ScriptedContext(sandbox=sandbox, cache=cache)
    await benchmark.prepare(list(chosen.values()), context)
    assert context.said, "the expected outputs were computed"
    return benchmark, chosen, cache


async def test_references_pass_base_and_plus(ready, sandbox: Scorer) -> None:
    benchmark, tasks, _ = ready
    for task in tasks.values():
        sample = Sample(task.prompt + task.canonical_solution, whole=True)
        scored = await benchmark.score(task, sample, ScriptedContext(sandbox=sandbox))
        assert scored.passed, (task.task_id, scored.reason)


async def test_expected_outputs_are_computed_once(ready, sandbox: Scorer) -> None:
    _, tasks, cache = ready
    context = ScriptedContext(sandbox=sandbox, cache=cache)
    await MbppPlus(MbppPlusOptions()).prepare(list(tasks.values()), context)
    assert context.said == []


async def test_a_sample_that_only_knows_the_shown_tests_passes_base_not_plus(ready, sandbox: Scorer) -> None:
    benchmark, tasks, _ = ready
    task = tasks["Mbpp/2"]
    pairs = [(given, set(given[0]) & set(given[1])) for given in task.base_input]
    cases = "".join(f"    if a == {tuple(g[0])!r} and b == {tuple(g[1])!r}: return {tuple(w)!r}\n" for g, w in pairs)
    cases += "".join(
        f"    if list(a) == {list(g[0])!r} and list(b) == {list(g[1])!r}: return {tuple(w)!r}\n" for g, w in pairs
    )
    sample = Sample(f"def {task.entry_point}(a, b):\n{cases}    return ()\n", whole=True)
    scored = await benchmark.score(task, sample, ScriptedContext(sandbox=sandbox))
    assert scored.metrics["base_passed"]
    assert not scored.passed
    metrics = {m.name: m.value for m in benchmark.metrics([summary("2", scored)])}
    assert (metrics["pass@1"], metrics["base_pass@1"]) == (0.0, 1.0)


async def test_an_endless_sample_is_stopped_per_input(ready, sandbox: Scorer) -> None:
    benchmark, tasks, _ = ready
    task = tasks["Mbpp/2"]
    sample = Sample(f"def {task.entry_point}(*a):\n    while True: pass\n", whole=True)
    scored = await benchmark.score(task, sample, ScriptedContext(sandbox=sandbox))
    assert "time limit" in scored.reason


async def test_outputs_too_large_to_keep_are_made_again_beside_the_sample(
    data: DatasetStore, sandbox: Scorer, tmp_path: Path
) -> None:
    """Mbpp/255 gives 780 MB of expected outputs."""
    benchmark = MbppPlus(MbppPlusOptions())
    task = next(task for task in benchmark.tasks(data) if task.task_id == "Mbpp/255")
    context = ScriptedContext(sandbox=sandbox, cache=tmp_path)
    await benchmark.prepare([task], context)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 1 << 20
    right = Sample(task.prompt + task.canonical_solution, whole=True)
    assert (await benchmark.score(task, right, context)).passed
    wrong = Sample(f"def {task.entry_point}(*a):\n    return []\n", whole=True)
    assert not (await benchmark.score(task, wrong, context)).passed


async def test_a_continuation_ends_at_the_first_stop_string_that_the_server_left_in(
    data: DatasetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark = MbppPlus(MbppPlusOptions(style="completion"))
    task = next(task for task in benchmark.tasks(data) if task.task_id == "Mbpp/2")
    scored: list[Sample] = []

    async def note(task: object, sample: Sample, context: object) -> Scored:
        scored.append(sample)
        return Scored(1.0, True)

    monkeypatch.setattr(benchmark, "score", note)
    await benchmark.attempt(task, ScriptedContext("\ndef f(a):\n    return a\nprint(f(input()))\n"))
    assert scored == [Sample("\ndef f(a):\n    return a")]
