"""`score`: its containers start while the rest of the program still loads, which is a third of a short command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stackbench.cli.options import run_settings
from stackbench.config import Home, load_settings

__all__ = ["score"]


def score(path: Path, benchmark: str, flags: Mapping[str, Any]) -> int:
    """Scores recorded samples; returns the exit code."""
    from stackbench.sandbox.head_start import HeadStart
    from stackbench.sandbox.image import image_tag
    from stackbench.sandbox.memory_budget import samples_at_once
    from stackbench.sandbox.spec import sample_spec

    home = Home.find(flags["home"])
    settings = load_settings({**run_settings(flags), "model": f"file:{path.name}"}).settings
    head_start = None
    if settings.sandbox_scope == "container" and not settings.sandbox_runtime and path.is_file():
        spec = sample_spec(settings, settings.sandbox_image or image_tag())
        head_start = HeadStart(spec, samples_at_once(settings))
    from stackbench.cli import evaluate

    try:
        return evaluate.score(path, benchmark, flags, home, settings, head_start)
    finally:
        if head_start is not None:
            head_start.close()
