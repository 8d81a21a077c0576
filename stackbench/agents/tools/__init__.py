"""The tools that an agent has in its sandbox, with the names, parameters and behaviour that OpenClaw documents."""

from stackbench.agents.tools.asking import User
from stackbench.agents.tools.base import Tool, ToolOutcome, ToolRefusedError, Workspace, parameters_schema, tool_schema
from stackbench.agents.tools.registry import TOOL_SET, TOOLS, CallResult, call_tool, list_tools

__all__ = [
    "TOOLS",
    "TOOL_SET",
    "CallResult",
    "Tool",
    "ToolOutcome",
    "ToolRefusedError",
    "User",
    "Workspace",
    "call_tool",
    "list_tools",
    "parameters_schema",
    "tool_schema",
]
