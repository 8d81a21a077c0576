"""docs/protocol.md, written from the models of the messages and the verbs.

Usage: python -m stackbench.control.reference > docs/protocol.md
"""

from __future__ import annotations

import inspect
import itertools
import sys
from typing import Any, get_args

from pydantic import BaseModel

from stackbench.control import messages
from stackbench.control.verbs import VERBS

__all__ = ["protocol_page"]

HEAD = """# The engine's protocol

<!-- Written by `python -m stackbench.control.reference`; a test holds it against the models. -->

A home's engine listens on the Unix socket `engine.sock` in the home: mode 0600, and only for processes of the same user
(SO_PEERCRED). Each message is one line of JSON of at most 8 MiB with a `kind`; unknown fields are ignored, and a client
ignores events of kinds that it does not know. This is protocol {protocol}.

A client says `hello` first and is answered with `welcome`, or with a `refusal` that says why not. Then it sends
requests with ids of its own choice; answers carry the same id and may come in any order. An `answer` whose `size` is
not 0 is followed by that many bytes. A client that leaves interrupts its queries.

After `subscribe`, events come with a sequence number that counts from 1 in the life of one engine. A slow watcher
misses pieces of streamed text and gauges, and is told how many (`missed`); it never misses the start or the end of an
attempt, and never slows the engine. One that leaves 200,000 events unread is let go.

```json
{{"kind": "hello", "protocol": {protocol}, "client": "mine"}}
{{"kind": "subscribe", "id": 1, "since": 1}}
{{"kind": "command", "id": 2, "verb": "pause", "arguments": {{"now": true}}, "who": "mine"}}
```
"""


def protocol_page() -> str:
    """The page, as Markdown."""
    parts = [HEAD.format(protocol=messages.PROTOCOL)]
    parts.append("## Requests\n")
    parts += [_section(model) for model in _members(messages.Request)]
    parts.append("## Replies\n")
    parts += [_section(model) for model in _members(messages.Reply)]
    parts.append("## Events\n\nWhat stands in an event's `what`.\n")
    parts += [_section(model) for model in _members(messages.EventKind)]
    parts += [_section(model) for model in (messages.AttemptRef, messages.MetricValue)]
    parts.append(
        "## Verbs\n\nOf `command`, and of `stackbench ctl`. A verb that changes something is recorded as an event of "
        "kind `operator`; said twice, it changes nothing the second time.\n\n| verb | arguments | what it does |\n"
        "| --- | --- | --- |"
    )
    for verb in VERBS.values():
        arguments = ", ".join(f"`{p.name}`" + ("" if p.required else " (optional)") for p in verb.parameters)
        parts.append(f"| `{verb.name}` | {arguments} | {verb.help} |")
    return "\n".join(parts) + "\n"


def _members(union: Any) -> list[type[BaseModel]]:
    """The models of an annotated union."""
    return list(get_args(get_args(union)[0]))


def _section(model: type[BaseModel]) -> str:
    kind = model.model_fields.get("kind")
    lines = [f"### {kind.default if kind is not None else model.__name__}", "", inspect.cleandoc(model.__doc__ or "")]
    fields = {name: field for name, field in model.model_fields.items() if name != "kind"}
    if fields:
        lines += ["", "| field | type | |", "| --- | --- | --- |"]
    docs = _field_docs(model)
    for name, field in fields.items():
        default = "required" if field.is_required() else ""
        lines.append(f"| `{name}` | `{_type_name(field.annotation)}` | {docs.get(name, default) or default} |")
    return "\n".join(lines) + "\n"


def _type_name(annotation: Any) -> str:
    if annotation is messages.WaitReason:
        return " / ".join(get_args(annotation))
    name = annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)
    for prefix in ("typing.", "stackbench.control.messages."):
        name = name.replace(prefix, "")
    return name.replace("|", "or") if len(name) < 60 else "one of the events"


def _field_docs(model: type[BaseModel]) -> dict[str, str]:
    """The docstring under each field, read from the source."""
    import ast

    tree = ast.parse(inspect.getsource(model))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    found: dict[str, str] = {}
    for field, after in itertools.pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            found[field.target.id] = " ".join(str(after.value.value).split())
    return found


if __name__ == "__main__":
    sys.stdout.write(protocol_page())
