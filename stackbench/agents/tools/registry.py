"""The tools by name, and the validation and execution of a model's call."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from stackbench import nesting
from stackbench.agents.tools.asking import AskUser
from stackbench.agents.tools.base import Parameters, Tool, ToolOutcome, ToolRefusedError, Workspace, tool_schema
from stackbench.agents.tools.commands import Exec, ProcessTool
from stackbench.agents.tools.edits import EditTool
from stackbench.agents.tools.files import Ls, Read, Write
from stackbench.agents.tools.patch import ApplyPatch
from stackbench.agents.tools.text import cut_middle
from stackbench.agents.tools.web import HttpRequestTool, WebFetch
from stackbench.errors import ToolError
from stackbench.nesting import is_array, is_object

__all__ = ["TOOLS", "TOOL_SET", "CallResult", "call_tool", "list_tools"]

MOST_CHARACTERS = 120_000
"""Of what a model is told of any call; each tool cuts its own output before."""
MOST_ERROR = 4000
LONGEST_NAME = 100
LONGEST_ARGUMENTS = 16 << 20
MOST_MEMBERS = 1000
"""Of an argument that is a list or an object: each that does not fit would be an error of its own."""

TOOL_SET = "openclaw-2026.9"
"""Whose tools these are: the names and parameters that OpenClaw documents in that version."""
TOOLS: Mapping[str, Tool[Any]] = {
    tool.name: tool
    for tool in (
        Ls(),
        Read(),
        Write(),
        EditTool(),
        ApplyPatch(),
        Exec(),
        ProcessTool(),
        WebFetch(),
        HttpRequestTool(),
        AskUser(),
    )
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
    """Makes a call; what is wrong with it is an outcome that its model sees and may fix.

    Raises:
        SandboxError: the container died.
    """
    tool = TOOLS.get(name)
    if tool is None:
        near = difflib.get_close_matches(name[:LONGEST_NAME], TOOLS, n=1)
        hint = f' Did you mean "{near[0]}"?' if near else ""
        return _malformed(f'there is no tool "{name[:LONGEST_NAME]}".{hint} The tools: {", ".join(TOOLS)}')
    try:
        asked = _parse(tool.parameters, arguments)
    except ToolRefusedError as error:
        return _malformed(f"{name}: {error}")
    try:
        outcome = await tool.call(asked, workspace)
    except (ToolError, ToolRefusedError) as error:
        outcome = ToolOutcome(f"error: {cut_middle(str(error), MOST_ERROR)}", failed=True)
    except (ValueError, ArithmeticError, LookupError, RecursionError) as error:
        # Text that is none (half of a surrogate pair), numbers past all bounds: the call's fault, not the machine's.
        said = cut_middle(f"{type(error).__name__}: {error}", MOST_ERROR)
        outcome = ToolOutcome(f"error: {name} cannot do that: {said}", failed=True)
    if len(outcome.text) > MOST_CHARACTERS:
        outcome = replace(outcome, text=cut_middle(outcome.text, MOST_CHARACTERS))
    return CallResult(outcome, valid=True)


def _malformed(text: str) -> CallResult:
    return CallResult(ToolOutcome(f"error: {cut_middle(text, MOST_ERROR)}", failed=True), valid=False)


def _parse(parameters: type[Parameters], arguments: str | Mapping[str, Any]) -> Parameters:
    """Raises ToolRefusedError; its text names each parameter that does not fit."""
    if isinstance(arguments, str):
        if len(arguments) > LONGEST_ARGUMENTS:
            raise ToolRefusedError(f"arguments have at most {LONGEST_ARGUMENTS} characters, not {len(arguments)}")
        try:
            arguments = nesting.loads(arguments or "{}")
        except ValueError as error:
            raise ToolRefusedError(f"the arguments are not JSON: {error}") from error
    if not isinstance(arguments, Mapping):
        raise ToolRefusedError("the arguments are no object")
    _refuse_many(parameters, arguments)
    try:
        return parameters.model_validate(arguments)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}" for one in error.errors()]
        raise ToolRefusedError(f"{'; '.join(problems)}. Its parameters: {_known(parameters)}") from error


def _refuse_many(parameters: type[Parameters], arguments: Mapping[str, Any]) -> None:
    """Raises ToolRefusedError for more members than anybody means."""
    if len(arguments) > MOST_MEMBERS:
        raise ToolRefusedError(f"{len(arguments)} arguments were given; its parameters: {_known(parameters)}")
    typed = {field.alias or name for name, field in parameters.model_fields.items() if field.annotation is not Any}
    for name in typed & arguments.keys():
        value = arguments[name]
        if (is_array(value) or is_object(value)) and len(value) > MOST_MEMBERS:
            raise ToolRefusedError(f"{name} has {len(value)} members; at most {MOST_MEMBERS} are taken")


def _known(parameters: type[Parameters]) -> str:
    return ", ".join(field.alias or name for name, field in parameters.model_fields.items())
