"""`--resume`: which run goes on, and what of it the command line may change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stackbench.benchmarks import declared
from stackbench.cli.arguments import LATEST
from stackbench.cli.driving import carry_out
from stackbench.cli.options import given_settings
from stackbench.cli.several_models import each_model
from stackbench.config import HIDDEN, Home, Settings, changeable_on_resume, given_values, setting_field
from stackbench.engine import RunPlan, read_plan_samples
from stackbench.errors import StoreError, UsageError
from stackbench.store import Reader, RunInfo, open_queries

__all__ = ["resume"]


def resume(home: Home, flags: Mapping[str, Any], *, benchmarks: Sequence[str] = (), suite: str = "") -> int:
    """Finishes an interrupted run; returns the exit code.

    Raises:
        UsageError: there is none like that, or the command line changes what it measures.
    """
    variants = each_model(flags)
    if len(variants) > 1:
        raise UsageError("a run that is resumed has one model; leave -m out, or name one")
    if flags["run_name"] is not None or flags["run_tags"]:
        raise UsageError("a resumed run keeps its name and tags; change them with stackbench runs tag")
    benchmarks = [declared.declared_name(Path(name)) if declared.is_definition(name) else name for name in benchmarks]
    given = given_values(given_settings(variants[0]))
    run = _find_run(home, flags["resume"], benchmarks, suite, given)
    try:
        plan = RunPlan.model_validate(run.config)
    except ValueError as error:
        raise UsageError(f"run {run.run_id} was made by another version of stackbench and cannot be resumed") from error
    if benchmarks and set(benchmarks) != {part.name for part in plan.benchmarks}:
        names = ", ".join(part.name for part in plan.benchmarks)
        raise UsageError(f"run {run.run_id} is of {names}, not of {', '.join(benchmarks)}")
    if flags["sample_ids"] or flags["benchmark_options"] or flags["scenarios"] or flags["shard"]:
        raise UsageError("a resumed run keeps its tasks and options: no --sample-ids, --shard, --scenarios and -T")
    changeable = changeable_on_resume()
    for name, value in given.items():
        kept = getattr(plan.settings, name)
        if name not in changeable and value != kept:
            raise UsageError(
                f"run {run.run_id} has {setting_field(name).name} {kept!r}, not {value!r}; "
                "a resumed run keeps what it measures: leave the option out, or start a new run"
            )
    pace = {name: value for name, value in given.items() if name in changeable}
    settings = Settings.model_validate({**plan.settings.model_dump(), **pace})
    hidden = [header.partition(":")[0] for header in settings.headers if header.endswith(f":{HIDDEN}")]
    if hidden:
        again = " ".join(f"--header {name}:VALUE" for name in hidden)
        raise UsageError(f"run {run.run_id} sends headers whose values are not recorded; give them again: {again}")
    plan = plan.model_copy(update={"settings": settings})
    return carry_out(home, plan, flags, samples=read_plan_samples(plan, home), resume=run.run_id)


def _find_run(home: Home, name: str, benchmarks: Sequence[str], suite: str, given: Mapping[str, Any]) -> RunInfo:
    """The run of that id, or the latest unfinished one that fits what else was said."""
    try:
        queries = open_queries(home.database, home.socket)
    except StoreError as error:
        raise UsageError(str(error)) from error
    try:
        reader = Reader(queries)
        if name != LATEST:
            return reader.run(name)
        for run in reader.unfinished():
            names = {part.get("name") for part in run.config.get("benchmarks", [])}
            if benchmarks and names != set(benchmarks):
                continue
            if (suite and run.suite != Path(suite).stem) or given.get("model", run.model) != run.model:
                continue
            return run
    finally:
        queries.close()
    raise UsageError('there is no unfinished run like that to resume; "stackbench runs" lists all')
