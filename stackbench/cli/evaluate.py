"""`eval`, `--batch` and `score`: from flags to a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stackbench import nesting
from stackbench.cli.console import notice
from stackbench.cli.driving import carry_out
from stackbench.cli.options import given_settings
from stackbench.cli.swe_options import given_swe_options
from stackbench.config import Home, Settings, load_settings
from stackbench.engine import HeadStart, RunPlan, load_suite, plan_benchmarks, plan_suite, read_samples, replay_settings
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
    options = _options(flags["benchmark_options"])
    if flags["scenarios"] is not None:
        if list(benchmarks) != ["tooluse"]:
            raise UsageError(
                "--scenarios goes with the benchmark tooluse alone: stackbench eval tooluse --scenarios DIR"
            )
        options["scenarios"] = str(flags["scenarios"].absolute())
    options |= given_swe_options(flags, benchmarks)
    names = _names(flags["sample_ids"])
    plans = [plan_benchmarks(benchmarks, _settings(variant), names, options) for variant in each_model(flags)]
    return _carry_out_all(home, plans, flags)


def batch(suite: str, flags: Mapping[str, Any]) -> int:
    """Runs a suite, or resumes a run; returns the exit code."""
    from stackbench.cli.several_models import each_model

    home = _home(flags)
    if flags["resume"]:
        from stackbench.cli.resuming import resume

        return resume(home, flags, suite=suite)
    if flags["scenarios"] is not None:
        raise UsageError(
            "--scenarios goes with eval tooluse; in a suite it stands in its file, as an option of tooluse"
        )
    given_swe_options(flags, ())
    if flags["benchmark_options"]:
        raise UsageError("-T sets options of benchmarks named to eval; in a suite they stand in its file")
    suite = suite or "full"
    loaded = load_suite(suite)[1]
    variants = each_model(flags, loaded.models)
    names = _names(flags["sample_ids"])
    plans = [plan_suite(suite, _settings(variant), names) for variant in variants]
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
    options = _options(flags["benchmark_options"]) | given_swe_options(flags, [benchmark])
    plan = plan_benchmarks([benchmark], settings, options=options)
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


def _options(pairs: Sequence[str] | None) -> dict[str, Any]:
    """`-T name=value`; a value that reads as JSON (a number, true) is one, else text."""
    found: dict[str, Any] = {}
    for pair in pairs or ():
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise UsageError(f'-T {pair}: write it as name=value; "stackbench list benchmarks" shows the options')
        try:
            found[name.strip()] = nesting.loads(text)
        except ValueError:
            found[name.strip()] = text
    return found
