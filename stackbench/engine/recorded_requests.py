"""What an attempt asked, as its events record it, and the same requests again: texts by their hash, stored once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from stackbench.errors import UsageError
from stackbench.store.documents import hash_text
from stackbench.types import AttemptKey, Message, Request, Sampling, ToolCall, ToolSpec

__all__ = ["CALLS", "RecordedRequest", "RequestRecorder", "rebuild", "text_hashes"]

CALLS = ("model_call", "model_call_failed")
"""Kinds of events that hold a request."""
NEUTRAL = Sampling()
SAMPLING = tuple(field.name for field in fields(Sampling))
ALWAYS = ("temperature", "max_tokens")
"""Of the sampling, recorded whatever it is; the rest where it is not neutral."""


class RequestRecorder:
    """Records the requests of one attempt, in their order. `texts` holds what they refer to, by sha256."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self._before: tuple[Message, ...] = ()
        self._tools: tuple[ToolSpec, ...] = ()
        self._tools_hash = ""

    def record(self, request: Request, begins: str) -> dict[str, Any]:
        """A request as JSON values. Of a chat that goes on, only what the request before did not have is listed.

        Args:
            begins: how the answer begins, which the model is given as its own (`--prefill`).
        """
        recorded: dict[str, Any] = {"sampling": _sampling(request.sampling)}
        if request.prompt is not None:
            recorded["prompt"] = self._references(request.prompt, request.shared_prefix)
        else:
            kept = _same(self._before, request.messages)
            if kept:
                recorded["kept_messages"] = kept
            new = request.messages[kept:]
            recorded["messages"] = [
                self._message(message, request.shared_prefix if message is new[-1] else 0) for message in new
            ]
            self._before = request.messages
        if request.tools:
            if request.tools != self._tools:
                self._tools, self._tools_hash = request.tools, self._reference(_tools_text(request.tools))
            recorded["tools"] = self._tools_hash
        if request.choices:
            recorded["choices"] = list(request.choices)
        if begins:
            recorded["prefill"] = begins
        for name in ("stream", "keep_prefix"):
            if getattr(request, name):
                recorded[name] = True
        return recorded

    def _message(self, message: Message, shared: int) -> dict[str, Any]:
        recorded: dict[str, Any] = {"role": message.role, "content": self._references(message.content, shared)}
        if message.tool_calls:
            recorded["tool_calls"] = [asdict(call) for call in message.tool_calls]
        if message.tool_call_id:
            recorded["tool_call_id"] = message.tool_call_id
        return recorded

    def _references(self, content: str, shared: int) -> list[str]:
        """Hashes of the texts that a content consists of, one after the other."""
        parts = (content[:shared], content[shared:]) if shared else (content,)
        return [self._reference(part) for part in parts if part]

    def _reference(self, content: str) -> str:
        digest, kept = hash_text(content)
        self.texts[digest] = kept
        return digest


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One call of the model by an attempt."""

    key: AttemptKey
    number: int
    """Counts the attempt's calls from 1."""
    request: Request
    begins: str
    """How its answer was made to begin."""
    payload: Mapping[str, Any]
    """Of the event, the answer included."""
    failed: bool
    """Whether it got no answer."""


def text_hashes(payloads: Iterable[Mapping[str, Any]]) -> set[str]:
    """The hashes of all texts that recorded requests refer to."""
    found: set[str] = set()
    for payload in payloads:
        recorded: Mapping[str, Any] = payload.get("request") or {}
        found.update(recorded.get("prompt", ()))
        for message in recorded.get("messages", ()):
            found.update(message["content"])
        if "tools" in recorded:
            found.add(recorded["tools"])
    return found


def rebuild(
    key: AttemptKey, calls: Sequence[tuple[str, Mapping[str, Any]]], texts: Mapping[str, str]
) -> list[RecordedRequest]:
    """The requests of one attempt from the kinds and payloads of its events of `CALLS`, in their order.

    Raises:
        UsageError: an older stackbench recorded the run, or a text is not in the database.
    """
    found: list[RecordedRequest] = []
    before: tuple[Message, ...] = ()
    for number, (kind, payload) in enumerate(calls, start=1):
        recorded = payload.get("request")
        if recorded is None:
            raise UsageError(
                f"{key.benchmark} {key.task_id}: the run was recorded by an older stackbench, which kept no whole "
                "requests; run it again to have them"
            )
        try:
            request, begins = _request(key, recorded, before, texts)
        except KeyError as missing:
            raise UsageError(f"{key.benchmark} {key.task_id}: the text {missing} is not in the database") from missing
        if request.prompt is None:
            before = request.messages
        found.append(RecordedRequest(key, number, request, begins, payload, kind != CALLS[0]))
    return found


def _request(
    key: AttemptKey, recorded: Mapping[str, Any], before: tuple[Message, ...], texts: Mapping[str, str]
) -> tuple[Request, str]:
    sampling: dict[str, Any] = dict(recorded["sampling"])
    sampling["stop"] = tuple(sampling.get("stop", ()))
    begins = recorded.get("prefill", "")
    request = Request(
        Sampling(**sampling),
        choices=tuple(recorded.get("choices", ())),
        tools=tuple(ToolSpec(**tool) for tool in json.loads(texts[recorded["tools"]])) if "tools" in recorded else (),
        key=key,
        stream=recorded.get("stream", False),
        keep_prefix=recorded.get("keep_prefix", False),
    )
    if "prompt" in recorded:  # which ends with the answer's beginning
        return replace(request, prompt=_joined(recorded["prompt"], texts)), begins
    new = tuple(
        Message(
            message["role"],
            _joined(message["content"], texts),
            tuple(ToolCall(**call) for call in message.get("tool_calls", ())),
            message.get("tool_call_id", ""),
        )
        for message in recorded["messages"]
    )
    return replace(request, messages=(*before[: recorded.get("kept_messages", 0)], *new), prefill=begins), begins


def _joined(references: Sequence[str], texts: Mapping[str, str]) -> str:
    return "".join(texts[reference] for reference in references)


def _sampling(sampling: Sampling) -> dict[str, Any]:
    found = {name: getattr(sampling, name) for name in SAMPLING}
    return {name: value for name, value in found.items() if name in ALWAYS or value != getattr(NEUTRAL, name)}


def _same(before: Sequence[Message], now: Sequence[Message]) -> int:
    """How many messages at the beginning are those of the chat before."""
    count = 0
    for old, new in zip(before, now, strict=False):
        if old != new:
            break
        count += 1
    return count


def _tools_text(tools: Sequence[ToolSpec]) -> str:
    return json.dumps([asdict(tool) for tool in tools], ensure_ascii=False)
