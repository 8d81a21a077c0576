"""Sandboxes that start while the program still loads, for commands that are sure to need them."""

from __future__ import annotations

from stackbench.config import SandboxSettings
from stackbench.sandbox.head_start import HeadStart
from stackbench.sandbox.image import image_tag
from stackbench.sandbox.memory_budget import samples_at_once
from stackbench.sandbox.spec import sample_spec

__all__ = ["HeadStart", "begin_sandboxes"]


def begin_sandboxes(settings: SandboxSettings) -> HeadStart | None:
    """Launches the containers that samples will run in; None where each sample gets a container of its own.

    Whoever gets them closes them, or hands them to the run that takes them.
    """
    if settings.sandbox_scope != "container" or settings.sandbox_runtime:
        return None
    return HeadStart(sample_spec(settings, settings.sandbox_image or image_tag()), samples_at_once(settings))
