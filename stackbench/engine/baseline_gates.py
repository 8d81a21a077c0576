"""Gates that hold a run against a baseline: another run, task by task, or the published result of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stackbench.engine.plan import Gate, RunPlan
from stackbench.errors import UsageError
from stackbench.stats import Estimate
from stackbench.store import BenchmarkResult, Reader
from stackbench.suggestions import did_you_mean

__all__ = ["Difference", "difference_to_baseline", "with_known_baseline"]

Difference = Callable[[Gate], "Estimate | str"]
"""How a run differs from its baseline at a gate's metric; a text where that is not known: why."""


def with_known_baseline(plan: RunPlan, reader: Reader) -> RunPlan:
    """The plan with its baseline by the id of its run, so that `last` is not the run itself at its end.

    Raises:
        UsageError: no run and no model with published results is named so.
    """
    name = plan.settings.baseline
    if not name or not any(gate.margin is not None for gate in plan.gates):
        return plan
    if not reader.names_run(name):
        from stackbench.benchmarks.baselines import baselines_of

        if baselines_of(name):
            return plan
        near = did_you_mean(name, reader.run_names())
        raise UsageError(
            f'no run and no published model "{name}"{near} to be the baseline; see stackbench runs, list baselines'
        )
    known = plan.settings.model_copy(update={"baseline": reader.run(name).run_id})
    return plan.model_copy(update={"settings": known})


def difference_to_baseline(
    reader: Reader, run_id: str, baseline: str, results: Sequence[BenchmarkResult]
) -> Difference:
    """Of a run that has ended; `results` are its own."""
    if not baseline or not reader.has_run(baseline):
        return lambda gate: _published(gate, baseline, results)
    datasets = {one.benchmark: one.datasets for one in reader.planned(baseline)}
    mine = {one.benchmark: one.planned.datasets for one in results if one.planned is not None}

    def difference(gate: Gate) -> Estimate | str:
        from stackbench.benchmarks.pairs import pair_tasks

        name = gate.benchmark
        if name not in datasets:
            return f"run {baseline} has no {name}"
        if name in mine and datasets[name] and dict(mine[name]) != dict(datasets[name]):
            return f"run {baseline} had other data of {name}"
        found = pair_tasks(name, reader.summaries(baseline, name), reader.summaries(run_id, name))
        return f"no task of {name} was completed in both runs" if found is None else found.paired.difference

    return difference


def _published(gate: Gate, model: str, results: Sequence[BenchmarkResult]) -> Estimate | str:
    from stackbench.benchmarks.baselines import baselines_of
    from stackbench.stats.regression import unpaired_difference

    metrics = {(r.benchmark, m.name): m for r in results for m in r.metrics if not m.category}
    metric = metrics.get((gate.benchmark, gate.metric))
    known = [one for one in baselines_of(model) if (one.benchmark, one.metric) == (gate.benchmark, gate.metric)]
    if metric is None:
        return "not measured"
    if not known:
        return f"nothing is published of {model} in {gate.benchmark}"
    return unpaired_difference(known[0].share, known[0].tasks, metric.value, metric.n)
