"""Tool use for models without native tool calls: the schemas are part of the prompt, calls are read from the text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from stackbench.types import Message, ToolSpec

__all__ = ["chat_without_tools"]

TOLD = """

You have these tools. Each line is the JSON description of one:
{tools}

To call a tool, write nothing but the call, in this form:
<tool_call>
{{"name": "the tool", "arguments": {{"its parameter": "a value"}}}}
</tool_call>
The result comes with the next message. When the work is done, answer in plain text without a call."""


def chat_without_tools(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> list[Message]:
    """The chat with the tools in its system message, calls as text and results as a user's turns."""
    listed = "\n".join(
        json.dumps({"name": tool.name, "description": tool.description, "parameters": json.loads(tool.parameters)})
        for tool in tools
    )
    rewritten: list[Message] = []
    for message in messages:
        if message.role == "system":
            rewritten.append(replace(message, content=message.content + TOLD.format(tools=listed)))
        elif message.role == "tool":
            text = f"<tool_response>\n{message.content}\n</tool_response>"
            if rewritten and rewritten[-1].role == "user" and rewritten[-1].content.startswith("<tool_response>"):
                rewritten[-1] = replace(rewritten[-1], content=f"{rewritten[-1].content}\n{text}")
            else:
                rewritten.append(Message("user", text))
        else:
            calls = "\n".join(
                f'<tool_call>\n{{"name": {json.dumps(call.name)}, "arguments": {call.arguments}}}\n</tool_call>'
                for call in message.tool_calls
            )
            rewritten.append(Message(message.role, "\n".join(part for part in (message.content, calls) if part)))
    return rewritten
