"""The options of SWE-bench that have flags of their own, on `eval` and `score`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["BENCHMARK", "FLAGS", "given_swe_options", "swe_options"]

PANEL = "SWE-bench"
BENCHMARK = "swebench"
FLAGS = {
    "repo_mirror": "--repo-mirror",
    "task_repo": "--task-repo",
    "image_template": "--image-template",
    "cache_gb": "--cache-gb",
    "any_python": "--any-python",
    "hints": "--hints",
    "validate_gold": "--validate-gold",
}


def swe_options(
    repo_mirror: Annotated[
        Path | None,
        typer.Option(
            "--repo-mirror",
            metavar="DIR",
            help="Bare git folders (owner__name.git) that images are built from.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    task_repo: Annotated[
        Path | None,
        typer.Option(
            "--task-repo", metavar="DIR", help="Tasks in the layout of swebench 5 [a data set].", rich_help_panel=PANEL
        ),
    ] = None,
    image_template: Annotated[
        str | None,
        typer.Option(
            "--image-template",
            metavar="NAME",
            help="Images to pull; {id} is the instance's [swebench's].",
            rich_help_panel=PANEL,
        ),
    ] = None,
    cache_gb: Annotated[
        float | None,
        typer.Option("--cache-gb", metavar="GIB", help="Disk for images [100].", rich_help_panel=PANEL),
    ] = None,
    any_python: Annotated[
        bool,
        typer.Option(
            "--any-python",
            help="Build with the nearest Python where the right one cannot be had.",
            rich_help_panel=PANEL,
        ),
    ] = False,
    hints: Annotated[
        bool,
        typer.Option("--hints", help="Show what was said under the issue before its fix.", rich_help_panel=PANEL),
    ] = False,
    validate_gold: Annotated[
        bool,
        typer.Option("--validate-gold", help="Grade each reference patch first.", rich_help_panel=PANEL),
    ] = False,
) -> None:
    """Only looked at."""


def given_swe_options(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that were given, as options of the benchmark; folders as absolute paths."""
    given = {name: flags[name] for name in FLAGS if flags.get(name) not in (None, False)}
    return {name: str(value.absolute()) if isinstance(value, Path) else value for name, value in given.items()}
