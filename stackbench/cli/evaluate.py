"""`eval`, `--batch` and `score`: from flags to a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stackbench.benchmarks import benchmark_names
from stackbench.cli.benchmark_options import options_of_benchmarks, options_of_suite
from stackbench.cli.console import notice
from stackbench.cli.driving import carry_out
from stackbench.cli.options import given_settings
from stackbench.config import Home, Settings, load_settings
from stackbench.engine import (
    HeadStart,
    RunPlan,
    list_suites,
    load_suite,
    plan_benchmarks,
    plan_suite,
    read_samples,
    replay_settings,
)
from stackbench.engine.shards import check_shard
from stackbench.engine.suite import BatchStages
from stackbench.errors import UsageError
from stackbench.labels import check_label, check_labels

__all__ = ["batch", "evaluate", "score"]


def evaluate(benchmarks: Sequence[str], flags: Mapping[str, Any]) -> int:
    """Runs named benchmarks, or resumes a run; returns the exit code."""
    from stackbench.cli.several_models import each_model

    home = _home(flags)
    if flags["resume"]:
        from stackbench.cli.resuming import resume

        return resume(home, flags, benchmarks=benchmarks)
    if not benchmarks:
        raise UsageError('name a benchmark to run; "stackbench list benchmarks" shows them')
    for name in benchmarks:
        if name not in benchmark_names() and name in list_suites():
            raise UsageError(f'"{name}" is a suite, not a benchmark: stackbench --batch {name}')
    given = options_of_benchmarks(flags, benchmarks)
    names = _names(flags["sample_ids"])
    variants = each_model(flags)
    plans = [plan_benchmarks(benchmarks, _settings(one), names, given.shared, given.own) for one in variants]
    return _carry_out_all(home, plans, flags)


def batch(suite: str, flags: Mapping[str, Any]) -> int:
    """Runs a suite, or resumes a run; returns the exit code."""
    from stackbench.cli.several_models import each_model

    home = _home(flags)
    if flags["resume"]:
        from stackbench.cli.resuming import resume

        return resume(home, flags, suite=suite)
    suite = suite or "full"
    loaded = load_suite(suite)[1]
    variants = each_model(flags, loaded.models)
    names = _names(flags["sample_ids"])
    options = options_of_suite(flags, [part.name for part in loaded.benchmarks])
    plans = [plan_suite(suite, _settings(variant), names, options) for variant in variants]
    if loaded.batch is not None and not flags["dry_run"]:
        if not flags["detach"]:
            return _batches(home, plans, loaded.batch, flags)
        if loaded.batch != BatchStages():
            notice("with --detach the run alone is made: leave it out for the stages around it (smoke, report, verify)")
    return _carry_out_all(home, plans, flags)


def _batches(home: Home, plans: Sequence[RunPlan], stages: BatchStages, flags: Mapping[str, Any]) -> int:
    """The stages of each model's batch, one after the other; the code of the worst."""
    from stackbench.cli.batch_stages import run_batch

    if flags["wait"]:
        raise UsageError("--wait goes with --detach; without it the command waits anyway")
    if len(plans) > 1 and flags["as_json"]:
        raise UsageError("--json is one document, and this suite makes one for each model; name one -m at a time")
    codes: list[int] = []
    for plan in plans:
        smoke = None
        if stages.first:
            settings = plan.settings.model_copy(update={"max_hours": None, "baseline": ""})
            smoke = plan_suite(stages.first, settings).model_copy(update={"tags": ("smoke",)})
        own = flags if len(plans) == 1 or flags["output"] is None else {**flags, "output": _folder(flags, plan)}
        codes.append(run_batch(home, labelled(plan, flags), smoke, stages, own))
    return next((code for code in (130, 3, 1) if code in codes), 0)


def _folder(flags: Mapping[str, Any], plan: RunPlan) -> Path:
    return flags["output"] / "".join(c if c.isalnum() or c in "-._" else "-" for c in plan.settings.model)


def score(
    path: Path,
    benchmark: str,
    flags: Mapping[str, Any],
    home: Home,
    settings: Settings,
    head_start: HeadStart | None,
) -> int:
    """Scores recorded samples and writes `FILE_results.jsonl`; returns the exit code."""
    given = options_of_benchmarks(flags, [benchmark])
    plan = plan_benchmarks([benchmark], settings, options=given.shared, own_options=given.own)
    samples = read_samples(path, plan.benchmarks[0].name, home, plan.benchmarks[0].options)
    for line in samples.warnings():
        notice(f"stackbench: warning: {line}")
    plan = plan.model_copy(
        update={"suite": "score", "samples_file": str(path.absolute()), "samples_sha256": samples.sha256}
    )
    return carry_out(home, labelled(plan, flags), flags, samples=samples, head_start=head_start)


def labelled(plan: RunPlan, flags: Mapping[str, Any]) -> RunPlan:
    """The plan with the name and the tags that the command line gives. Raises UsageError for one that cannot be."""
    name = check_label(flags["run_name"], "--name") if flags["run_name"] is not None else ""
    shard = check_shard(flags["shard"]) if flags.get("shard") is not None else ""
    update = {"name": name, "tags": check_labels(flags["run_tags"] or (), "--tag"), "shard": shard}
    return plan.model_copy(update=update)


def _carry_out_all(home: Home, plans: Sequence[RunPlan], flags: Mapping[str, Any]) -> int:
    """One run, or one for each of several models."""
    labels = [labelled(plan, flags) for plan in plans]
    if flags["dry_run"]:
        from stackbench.cli.dry_run import dry_run

        return dry_run(home, labels, flags["machines"] or "", as_json=bool(flags["as_json"]))
    if len(labels) == 1:
        return carry_out(home, labels[0], flags)
    from stackbench.cli.several_models import carry_out_several

    return carry_out_several(home, labels, flags)


def _home(flags: Mapping[str, Any]) -> Home:
    """Raises UsageError for options of a plan that go with nothing."""
    if flags["machines"] is not None and not flags["dry_run"]:
        raise UsageError("--machines plans for machines that are not here; add --dry-run")
    if flags["dry_run"]:
        given = [f"--{name}" for name in ("resume", "detach", "wait", "output") if flags[name]]
        if given:
            raise UsageError(f"--dry-run starts nothing and writes nothing; leave {' and '.join(given)} out")
    return Home.find(flags["home"], to_write=not flags["dry_run"])


def _settings(flags: Mapping[str, Any]) -> Settings:
    """A run's settings; of a replay only what the command line says, for the rest is as the replayed run has it."""
    given = given_settings(flags)
    settings = load_settings(given).settings
    return replay_settings(settings, given) if settings.model.startswith("replay:") else settings


def _names(listed: str | None) -> list[str]:
    names = [name.strip() for name in (listed or "").split(",") if name.strip()]
    if listed is not None and not names:
        raise UsageError("--sample-ids names no task")
    return names
