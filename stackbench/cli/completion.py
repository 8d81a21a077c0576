"""Values that a shell completes: models, benchmarks, suites, runs. Whatever fails completes nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

__all__ = ["LISTS", "benchmark_names", "list_names", "manifest_names", "model_names", "run_ids", "suite_names", "verbs"]

MOST_RUNS = 50
LISTS = ("baselines", "benchmarks", "models", "scenarios", "suites", "tools")


def model_names(incomplete: str) -> list[str]:
    """Kinds of models, and the manifest's names after `hf:` and `vllm:`."""
    from stackbench.engine.model_files import named_models

    named = [f"{kind}:{name}" for kind in ("hf", "vllm") for name in named_models()]
    return _beginning(incomplete, [*named, "openai:", "replay:", "oracle", "null"])


def manifest_names(incomplete: str) -> list[str]:
    """Models that are fetched by name."""
    from stackbench.engine.model_files import named_models
    from stackbench.voice.weights import known_weights

    return _beginning(incomplete, [*named_models(), *known_weights()])


def benchmark_names(incomplete: str) -> list[str]:
    """Installed benchmarks, whose modules are not loaded, and YAML files of one's own with the folders on the way."""
    from importlib.metadata import entry_points

    names = sorted(point.name for point in entry_points(group="stackbench.benchmarks"))
    return [*_beginning(incomplete, names), *_definitions(incomplete)]


def suite_names(incomplete: str) -> list[str]:
    """Built-in suites."""
    from stackbench.engine import list_suites

    return _beginning(incomplete, list(list_suites()))


def list_names(incomplete: str) -> list[str]:
    """What `stackbench list` lists."""
    return _beginning(incomplete, list(LISTS))


def verbs(incomplete: str) -> list[str]:
    """The operator's verbs."""
    from stackbench.control.verbs import VERBS

    return _beginning(incomplete, list(VERBS))


def run_ids(incomplete: str) -> list[str]:
    """The newest runs of the home that the environment names."""
    return _beginning(incomplete, ["last", *_runs()])


def _definitions(incomplete: str) -> list[str]:
    folder, _, begun = incomplete.rpartition("/")
    before = f"{folder}/" if "/" in incomplete else ""
    found: list[str] = []
    with contextlib.suppress(OSError, ValueError):
        for entry in sorted(Path(before or ".").expanduser().iterdir()):
            if entry.name.startswith(begun) and (begun or not entry.name.startswith(".")):
                if entry.suffix.lower() in (".yaml", ".yml"):
                    found.append(before + entry.name)
                elif incomplete and entry.is_dir():
                    found.append(f"{before}{entry.name}/")
    return found


def _runs() -> Iterator[str]:
    with contextlib.suppress(Exception):  # a shell must not see a trace of anything
        from stackbench.config import Home
        from stackbench.store import Reader, open_queries

        home = Home.find(to_write=False)
        queries = open_queries(home.database, home.socket)
        try:
            yield from [run.run_id for run in Reader(queries).runs(MOST_RUNS)]
        finally:
            queries.close()


def _beginning(incomplete: str, names: list[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
