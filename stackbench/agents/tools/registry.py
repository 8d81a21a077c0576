"""The tools by name, and a call as a model makes it: a name and arguments that may be wrong."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from stackbench import nesting
from stackbench.agents.tools.base import Parameters, Tool, ToolOutcome, ToolRefusedError, Workspace, tool_schema
from stackbench.agents.tools.commands import Exec, ProcessTool
from stackbench.agents.tools.files import Edit, Read, Write
from stackbench.agents.tools.patch import ApplyPatch
from stackbench.agents.tools.web import HttpRequestTool, WebFetch
from stackbench.errors import ToolError

__all__ = ["TOOLS", "CallResult", "call_tool", "list_tools"]

TOOLS: Mapping[str, Tool[Any]] = {
    tool.name: tool
    for tool in (Read(), Write(), Edit(), ApplyPatch(), Exec(), ProcessTool(), WebFetch(), HttpRequestTool())
}


@dataclass(frozen=True, slots=True)
class CallResult:
    """What became of a call."""

    outcome: ToolOutcome
    valid: bool
    """Whether it named a tool with arguments that fit its parameters."""


def list_tools() -> list[dict[str, Any]]:
    """Every tool as the OpenAI API takes it."""
    return [tool_schema(tool) for tool in TOOLS.values()]


async def call_tool(name: str, arguments: str | Mapping[str, Any], workspace: Workspace) -> CallResult:
    """Makes a call; what is wrong with it is an outcome that its model sees and may mend.

    Raises:
        SandboxError: the container died.
    """
    tool = TOOLS.get(name)
    if tool is None:
        near = difflib.get_close_matches(name, TOOLS, n=1)
        hint = f' Did you mean "{near[0]}"?' if near else ""
        return _malformed(f'there is no tool "{name}".{hint} The tools: {", ".join(TOOLS)}')
    try:
        asked = _parse(tool.parameters, arguments)
    except ToolRefusedError as error:
        return _malformed(f"{name}: {error}")
    try:
        return CallResult(await tool.call(asked, workspace), valid=True)
    except (ToolError, ToolRefusedError) as error:
        return CallResult(ToolOutcome(f"error: {error}", failed=True), valid=True)


def _malformed(text: str) -> CallResult:
    return CallResult(ToolOutcome(f"error: {text}", failed=True), valid=False)


def _parse(parameters: type[Parameters], arguments: str | Mapping[str, Any]) -> Parameters:
    """Raises ToolRefusedError; its text names each parameter that does not fit."""
    if isinstance(arguments, str):
        try:
            arguments = nesting.loads(arguments or "{}")
        except ValueError as error:
            raise ToolRefusedError(f"the arguments are not JSON: {error}") from error
    if not isinstance(arguments, Mapping):
        raise ToolRefusedError("the arguments are no object")
    try:
        return parameters.model_validate(arguments)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}" for one in error.errors()]
        known = ", ".join(field.alias or name for name, field in parameters.model_fields.items())
        raise ToolRefusedError(f"{'; '.join(problems)}. Its parameters: {known}") from error
