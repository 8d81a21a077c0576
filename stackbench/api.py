"""The Python API: a run as the command line makes it, from a program."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stackbench.config import Home, Settings, list_settings, load_settings
from stackbench.engine import RunOutcome, check_model_name, plan_benchmarks, replay_settings, run_plan
from stackbench.errors import ConfigError, UsageError
from stackbench.suggestions import did_you_mean

__all__ = ["evaluate", "evaluate_async"]


def evaluate(
    benchmarks: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    model: str | None = None,
    home: str | os.PathLike[str] | None = None,
    sample_ids: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    **settings: Any,
) -> RunOutcome:
    """Runs benchmarks in this process and waits for the end; from a program with an event loop, `evaluate_async`.

    Args:
        benchmarks: names of installed benchmarks, and YAML files of one's own; one or several.
        model: as `-m`; unset, what the configuration files say.
        home: as `--home`; unset, STACKBENCH_HOME or the user's folder.
        sample_ids: only these tasks.
        options: options of the benchmarks, as `-T`.
        settings: any setting of docs/configuration.md by its name with underscores: `limit=20`, `temperature=0.2`.

    Raises:
        UsageError, ConfigError: the run cannot be as it was asked for; nothing ran.
        HomeLockedError: another process is the home's engine.
        StackbenchError: the run could not start, or the database failed under it. A run whose attempts fail has an
            outcome with the status `failed`.
    """
    if _loop_runs():
        raise UsageError(
            "an event loop runs in this thread already; await stackbench.evaluate_async(...) in place of evaluate"
        )
    return asyncio.run(
        evaluate_async(benchmarks, model=model, home=home, sample_ids=sample_ids, options=options, **settings)
    )


async def evaluate_async(
    benchmarks: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    model: str | None = None,
    home: str | os.PathLike[str] | None = None,
    sample_ids: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    **settings: Any,
) -> RunOutcome:
    """As `evaluate`, for a program with an event loop."""
    names = [benchmarks] if isinstance(benchmarks, str | os.PathLike) else list(benchmarks)
    if not names:
        raise UsageError('name a benchmark to run; "stackbench list benchmarks" shows them')
    ids = [sample_ids] if isinstance(sample_ids, str) else sample_ids
    found_home = Home.find(Path(home) if home is not None else None)
    plan = plan_benchmarks([os.fspath(name) for name in names], _settings(model, settings), ids, options)
    check_model_name(plan.settings)
    return await run_plan(found_home, plan)


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _settings(model: str | None, given: Mapping[str, Any]) -> Settings:
    known = [field.attribute for field in list_settings()]
    for name in given:
        if name not in known:
            raise ConfigError(
                f'there is no setting "{name}"{did_you_mean(name, known)}; docs/configuration.md lists them'
            )
    values = {**given, "model": model}
    settings = load_settings(values).settings
    return replay_settings(settings, values) if settings.model.startswith("replay:") else settings
