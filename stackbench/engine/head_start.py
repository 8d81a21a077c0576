"""Sandboxes that start while the program still loads, for commands that are sure to need them."""

from __future__ import annotations

from stackbench.config import SandboxSettings
from stackbench.sandbox.image import image_tag
from stackbench.sandbox.launch import HeadStart, container_spec
from stackbench.sandbox.sizing import default_size

__all__ = ["HeadStart", "begin_sandboxes"]


def begin_sandboxes(settings: SandboxSettings) -> HeadStart | None:
    """Launches the containers that samples will run in; None where each sample gets a container of its own.

    Whoever gets them closes them, or hands them to the run that takes them.
    """
    if settings.sandbox_scope != "container" or settings.sandbox_runtime:
        return None
    spec = container_spec(settings, settings.sandbox_image or image_tag())
    return HeadStart(spec, settings.sandboxes or default_size(spec.memory_mib))
