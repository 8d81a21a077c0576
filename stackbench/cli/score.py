"""`score`: its containers start while the rest of the program still loads, which is a third of a short command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stackbench.cli.options import given_settings
from stackbench.config import Home, load_settings

__all__ = ["score"]


def score(path: Path, benchmark: str, flags: Mapping[str, Any]) -> int:
    """Scores recorded samples; returns the exit code."""
    from stackbench.engine.early_sandboxes import begin_sandboxes

    home = Home.find(flags["home"])
    settings = load_settings({**given_settings(flags), "model": f"file:{path.name}"}).settings
    head_start = begin_sandboxes(settings) if path.is_file() else None
    from stackbench.cli import evaluate

    try:
        return evaluate.score(path, benchmark, flags, home, settings, head_start)
    finally:
        if head_start is not None:
            head_start.close()
