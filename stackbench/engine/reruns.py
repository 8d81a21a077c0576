"""Replicates that lie more than two points apart are run again; what still differs is told, never dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from stackbench.benchmarks import SpeedBenchmark
from stackbench.control.messages import BenchmarkStarted, EventKind
from stackbench.engine.attempts import AttemptRunner
from stackbench.engine.work import further_attempts
from stackbench.stats.replicates import differ, outlying

__all__ = ["repeat_replicates"]


async def repeat_replicates(
    runner: AttemptRunner,
    publish: Callable[[EventKind], None],
    say: Callable[[str], None],
    record: Callable[[str, Mapping[str, Any]], None],
) -> None:
    """Compares a benchmark's replicates, one for each seed, once all attempts are made.

    As often as the run's `reruns` allow, those that lie apart get as many attempts again as each had. All attempts are
    counted. An event of kind `replicates` tells what they came to.

    Raises:
        As `AttemptRunner.run_all`.
    """
    plan, item, resources = runner.plan, runner.item, runner.resources
    name = item.plan.name
    if len(plan.settings.seeds) < 2 or isinstance(item.benchmark, SpeedBenchmark):
        return
    repeated: list[int] = []
    # A run that was interrupted in a repetition goes on behind it.
    first = 1 + await asyncio.to_thread(_repetitions, runner)
    for repetition in range(first, plan.settings.reruns + 1):
        scores = await asyncio.to_thread(_scores, runner)
        if resources.controls.ending or not differ(scores):
            break
        seeds = outlying(scores)
        named = ", ".join(f"seed {seed}" for seed in seeds)
        say(f"{name}: replicates differ ({_told(scores)}); those of {named} are run again")
        more = further_attempts(plan, item, seeds, repetition)
        await asyncio.to_thread(resources.writer.plan_more, runner.run_id, name, len(more))
        progress = runner.progress
        progress.total += len(more)
        done = progress.before + progress.done
        publish(BenchmarkStarted(benchmark=name, total=progress.total, done=done, passed=progress.passed))
        repeated += seeds
        await runner.run_all(more)
    scores = await asyncio.to_thread(_scores, runner)
    if not resources.controls.ending and len(scores) > 1:
        record("replicates", {"benchmark": name, "scores": scores, "repeated": repeated, "differ": differ(scores)})
        if differ(scores):
            say(f"{name}: replicates {'still ' if repeated else ''}differ by more than 2 points: {_told(scores)}")


def _repetitions(runner: AttemptRunner) -> int:
    """How many repetitions were begun in an earlier part of the run; their attempts are planned again."""
    attempts = runner.plan.attempts(runner.item.plan)
    name = runner.item.plan.name
    made = [one.key.attempt for one in runner.resources.reader.summaries(runner.run_id, name)]
    further = sum(attempt >= attempts for attempt in made)
    if further:
        runner.resources.writer.plan_more(runner.run_id, name, further)
    return max(made, default=0) // attempts


def _scores(runner: AttemptRunner) -> dict[int, float]:
    """Each replicate's mean score over tasks, by seed."""
    runner.resources.writer.flush()
    results = {one.benchmark: one for one in runner.resources.reader.results(runner.run_id)}
    found = results.get(runner.item.plan.name)
    return dict(found.replicates) if found is not None else {}


def _told(scores: Mapping[int, float]) -> str:
    return ", ".join(f"seed {seed}: {score:.4f}" for seed, score in scores.items())
