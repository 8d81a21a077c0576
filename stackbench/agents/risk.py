"""Which tool calls are risky: those that may change something."""

from __future__ import annotations

from stackbench import nesting
from stackbench.agents.tools import TOOLS
from stackbench.types import ToolCall

__all__ = ["is_risky"]

LOOKING = {"process": ("action", {"list", "poll", "log"}), "http_request": ("method", {"", "GET", "HEAD", "OPTIONS"})}
"""Of tools that change something in most of their uses: the argument, and its values, that only look."""


def is_risky(call: ToolCall) -> bool:
    """Whether a call may change files, run a command or send something. A tool that is not there does nothing."""
    tool = TOOLS.get(call.name)
    if tool is None or tool.read_only:
        return False
    if call.name not in LOOKING:
        return True
    argument, harmless = LOOKING[call.name]
    value = (nesting.object_of(call.arguments) or {}).get(argument, "")
    return not isinstance(value, str) or value not in harmless
