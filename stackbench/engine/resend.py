"""Sends recorded requests to their model again, and says where its answers differ from the recorded ones."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from stackbench.config import Home, Settings
from stackbench.engine.asking import whole_answer
from stackbench.engine.calls import recorded_generation
from stackbench.engine.plan import RunPlan
from stackbench.engine.recorded_requests import CALLS, RecordedRequest, rebuild, text_hashes
from stackbench.engine.run_model import model_options
from stackbench.errors import GenerationError, UsageError
from stackbench.models import create_model, parse_model_name
from stackbench.store import AttemptDetail, Reader, RunInfo
from stackbench.store.documents import hash_text
from stackbench.types import Generation, Message, Sampling, ToolCall

__all__ = ["Resent", "read_requests", "request_document", "resend"]

SAME_LOGPROB = 1e-3
NO_ANSWERS = {
    "oracle": "plays the benchmark's reference, which is no part of a request",
    "null": "answers nothing to anything",
    "replay": "looks recorded answers up",
}


@dataclass(frozen=True, slots=True)
class Resent:
    """A request that was sent again."""

    recorded: RecordedRequest
    before: Generation | None
    """The recorded answer; None where the request got none."""
    after: Generation | None
    """The answer now; None where it got none."""
    error: str = ""
    """Why it got none now."""

    @property
    def differences(self) -> tuple[str, ...]:
        """In what the answers differ: nothing for the same answer."""
        before, after = self.before, self.after
        if before is None or after is None:
            return () if before is after else ("answered",)
        pairs: dict[str, tuple[Any, Any]] = {
            "text": (before.text, after.text),
            "thought": (before.thought, after.thought),
            "tool_calls": (_calls(before.tool_calls), _calls(after.tool_calls)),
            "finish_reason": (before.finish_reason, after.finish_reason),
        }
        found = [name for name, (old, new) in pairs.items() if old != new]
        return (*found, *(() if _close(before.choice_logprobs, after.choice_logprobs) else ("choice_logprobs",)))


def read_requests(reader: Reader, attempts: Sequence[AttemptDetail]) -> list[tuple[AttemptDetail, RecordedRequest]]:
    """What attempts asked, rebuilt from the database.

    Raises:
        UsageError: an older stackbench recorded the run, or a text is missing.
    """
    calls = [[(kind, payload) for kind, payload in attempt.events if kind in CALLS] for attempt in attempts]
    texts = reader.texts(text_hashes(payload for made in calls for _, payload in made))
    texts.update(hash_text(attempt.prompt) for attempt in attempts)
    return [
        (attempt, recorded)
        for attempt, made in zip(attempts, calls, strict=True)
        for recorded in rebuild(attempt.key, made, texts)
    ]


def request_document(recorded: RecordedRequest) -> dict[str, Any]:
    """A request as JSON values, whole: what `show --request` prints."""
    request = recorded.request
    document: dict[str, Any] = {}
    if request.prompt is not None:
        document["prompt"] = request.prompt
    else:
        document["messages"] = [_message(message) for message in request.messages]
    if request.tools:
        document["tools"] = [
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
            for tool in request.tools
        ]
    if recorded.begins:
        document["prefill"] = recorded.begins
    if request.choices:
        document["choices"] = list(request.choices)
    sampling = {field.name: getattr(request.sampling, field.name) for field in fields(Sampling)}
    return {**document, "sampling": {**sampling, "stop": list(request.sampling.stop)}, "stream": request.stream}


async def resend(
    run: RunInfo,
    requests: Sequence[tuple[AttemptDetail, RecordedRequest]],
    home: Home,
    model_name: str | None,
    say: Callable[[str], None],
) -> AsyncIterator[Resent]:
    """Sends requests one after the other, to the run's model as the run had it, or to another.

    Raises:
        UsageError: the run's model answers no requests of its own.
        ModelNotAvailableError: the model cannot be had.
    """
    settings = _settings(run, model_name)
    model = create_model(settings.model, model_options(settings, home.path, home.path), replicas=False)
    try:
        await model.start(say)
        for attempt, recorded in requests:
            before = (
                None if recorded.failed else recorded_generation(recorded.payload, attempt.completion, attempt.thought)
            )
            try:
                (answer,) = await model.generate([recorded.request])
            except GenerationError as error:
                yield Resent(recorded, before, None, str(error))
                continue
            yield Resent(recorded, before, whole_answer(answer, recorded.begins))
    finally:
        await model.close()


def _settings(run: RunInfo, model_name: str | None) -> Settings:
    try:
        settings = RunPlan.model_validate(run.config).settings
    except ValueError as error:
        raise UsageError(
            f"run {run.run_id} was made by another version of stackbench: its settings cannot be read"
        ) from error
    settings = settings.model_copy(update={"model": model_name or settings.model})
    kind = parse_model_name(settings.model).kind
    if kind in NO_ANSWERS:
        raise UsageError(f"{settings.model} {NO_ANSWERS[kind]}; name a model that answers with -m")
    return settings


def _message(message: Message) -> dict[str, Any]:
    sent: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        sent["tool_calls"] = [
            {"id": call.id, "name": call.name, "arguments": call.arguments} for call in message.tool_calls
        ]
    if message.tool_call_id:
        sent["tool_call_id"] = message.tool_call_id
    return sent


def _calls(calls: Sequence[ToolCall]) -> list[tuple[str, str]]:
    """Without their ids, which a server may make up anew."""
    return [(call.name, call.arguments) for call in calls]


def _close(before: Sequence[float] | None, after: Sequence[float] | None) -> bool:
    if before is None or after is None:
        return before is after
    return len(before) == len(after) and all(
        math.isclose(old, new, abs_tol=SAME_LOGPROB) for old, new in zip(before, after, strict=True)
    )
