"""What a client is told, as the protocol's messages. Texts of models and tools are made visible, never obeyed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from acp import schema
from acp.helpers import (
    SessionUpdate,
    start_tool_call,
    text_block,
    tool_content,
    update_agent_message_text,
    update_agent_thought_text,
    update_tool_call,
    update_user_message_text,
)

from stackbench import nesting
from stackbench.types import ApprovalPolicy
from stackbench.visible_text import in_one_line, visible

__all__ = [
    "ALLOW",
    "ALLOW_ALL",
    "PERMISSIONS",
    "REJECT",
    "answer_piece",
    "call_begins",
    "call_changes",
    "call_to_approve",
    "modes",
    "prompt_text",
    "thought_piece",
    "user_piece",
]

Status = Literal["pending", "in_progress", "completed", "failed"]
Kind = Literal["read", "edit", "execute", "fetch", "other"]

TITLE_SHOWN = 160
OUTPUT_SHOWN = 20_000
KINDS: dict[str, Kind] = {
    "read": "read",
    "ls": "read",
    "write": "edit",
    "edit": "edit",
    "apply_patch": "edit",
    "exec": "execute",
    "process": "execute",
    "web_fetch": "fetch",
    "http_request": "fetch",
}
NAMING = ("title", "command", "path", "url", "question", "action")
"""Arguments that tell what a call is about, the best first."""

ALLOW, ALLOW_ALL, REJECT = "allow", "allow-all", "reject"
PERMISSIONS: tuple[tuple[str, str, schema.PermissionOptionKind], ...] = (
    (ALLOW, "Allow", "allow_once"),
    (ALLOW_ALL, "Allow all calls of this agent", "allow_always"),
    (REJECT, "Reject", "reject_once"),
)
MODES: dict[ApprovalPolicy, tuple[str, str]] = {
    "never": ("Ask for nothing", "Every call of a tool is made at once."),
    "risky": ("Ask for what may change something", "Commands, writes and requests that send wait for you."),
    "always": ("Ask for everything", "Every call of a tool waits for you."),
}


def answer_piece(text: str) -> SessionUpdate:
    return update_agent_message_text(visible(text))


def thought_piece(text: str) -> SessionUpdate:
    return update_agent_thought_text(visible(text))


def user_piece(text: str) -> SessionUpdate:
    """What another operator said to the agent."""
    return update_user_message_text(visible(text))


def call_begins(call_id: str, tool: str, arguments: str, status: Status) -> SessionUpdate:
    return start_tool_call(
        call_id, _title(tool, arguments), kind=_kind(tool), status=status, raw_input=_raw_input(arguments)
    )


def call_changes(call_id: str, status: Status, output: str | None = None) -> SessionUpdate:
    """A call's state, and all of its output so far."""
    content = None if output is None else [tool_content(text_block(visible(output[-OUTPUT_SHOWN:])))]
    return update_tool_call(call_id, status=status, content=content)


def call_to_approve(call_id: str, tool: str, arguments: str) -> schema.ToolCallUpdate:
    return schema.ToolCallUpdate(
        tool_call_id=call_id,
        title=_title(tool, arguments),
        kind=_kind(tool),
        status="pending",
        raw_input=_raw_input(arguments),
    )


def modes(policy: ApprovalPolicy) -> schema.SessionModeState:
    """Which calls wait for the user, as modes of a session."""
    known = [schema.SessionMode(id=name, name=title, description=about) for name, (title, about) in MODES.items()]
    return schema.SessionModeState(current_mode_id=policy, available_modes=known)


def prompt_text(blocks: Sequence[Any]) -> str:
    """A prompt as one text; of what is linked to there is the address, of what is embedded the text."""
    parts: list[str] = []
    for block in blocks:
        if isinstance(block, schema.TextContentBlock):
            parts.append(block.text)
        elif isinstance(block, schema.ResourceContentBlock):
            parts.append(f"[{block.name}]({block.uri})")
        elif isinstance(block, schema.EmbeddedResourceContentBlock):
            resource = block.resource
            if isinstance(resource, schema.TextResourceContents):
                parts.append(f"{resource.uri}:\n{resource.text}")
    return "\n\n".join(part for part in parts if part.strip())


def _kind(tool: str) -> Kind:
    return KINDS.get(tool, "other")


def _title(tool: str, arguments: str) -> str:
    given = nesting.object_of(arguments) or {}
    about = next((str(given[name]) for name in NAMING if given.get(name)), "")
    title = in_one_line(f"{tool}: {about}" if about else tool)
    return title if len(title) <= TITLE_SHOWN else f"{title[: TITLE_SHOWN - 1]}…"


def _raw_input(arguments: str) -> Any:
    """The arguments as an object where they are one, else as the model wrote them."""
    given = nesting.object_of(arguments)
    return visible(arguments) if given is None else _shown(given)


def _shown(value: Any) -> Any:
    """A value of JSON with its texts made visible."""
    if isinstance(value, str):
        return visible(value)
    if nesting.is_object(value):
        return {visible(name): _shown(one) for name, one in value.items()}
    return [_shown(one) for one in value] if nesting.is_array(value) else value
