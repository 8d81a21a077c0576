"""OpenAI's formats: a request's body, what a completion holds, what its stream adds up to."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

from stackbench.models.tool_calls import chat_for_template, tools_for_template
from stackbench.types import FinishReason, Generation, Request, ToolCall

__all__ = ["generations", "request_body", "streamed_generation"]

TOP_LOGPROBS = 20


def request_body(model: str, request: Request, n: int, chat_limit: str = "max_tokens") -> dict[str, Any]:
    """The body for `chat/completions`, or for `completions` where the request has a bare prompt.

    `chat_limit` names the limit of a chat's answer: newer models of OpenAI's take `max_completion_tokens`.
    """
    sampling = request.sampling
    chat = request.prompt is None
    limit = chat_limit if chat else "max_tokens"
    body: dict[str, Any] = {"model": model, limit: sampling.max_tokens, "temperature": sampling.temperature}
    if chat:
        body["messages"] = chat_for_template(request.messages, parsed=False)
        tools = tools_for_template(request.tools)
        if tools:
            body["tools"] = tools
    else:
        body["prompt"] = request.prompt
    if sampling.top_p != 1.0:
        body["top_p"] = sampling.top_p
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    if sampling.ignore_eos:
        body["ignore_eos"] = True
    if n > 1:
        body["n"] = n
    if request.choices:
        body[limit] = 1
        body["logprobs"] = True if chat else TOP_LOGPROBS
        if chat:
            body["top_logprobs"] = TOP_LOGPROBS
    if request.stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return body


def generations(answer: Any, request: Request, n: int, latency_s: float) -> list[Generation]:
    """The n generations of a completion.

    Raises:
        KeyError, IndexError, TypeError, ValueError, AttributeError: it is no completion.
    """
    chat = request.prompt is None
    choices = answer["choices"]
    if len(choices) != n:
        raise ValueError(f"{len(choices)} answers instead of {n}")
    prompt_tokens, completion_tokens = _usage(answer)
    found: list[Generation] = []
    for choice in choices:
        text = choice["message"].get("content") if chat else choice["text"]
        found.append(
            Generation(
                text=text or "",
                finish_reason=_finish(choice),
                tool_calls=_calls(choice["message"].get("tool_calls") or ()) if chat else (),
                prompt_tokens=prompt_tokens,
                completion_tokens=completion_tokens // n,
                latency_s=latency_s,
                choice_logprobs=_choice_logprobs(choice, request.choices, chat=chat) if request.choices else None,
            )
        )
    return found


async def streamed_generation(
    events: AsyncIterator[tuple[float, dict[str, Any]]],
    started: float,
    *,
    chat: bool,
    on_text: Callable[[str], None] | None = None,
) -> Generation:
    """Adds up a stream whose request was sent at `started` (seconds of `time.perf_counter`).

    Time to first token runs to the first piece, each gap from one piece to the next, and the latency to the last, as
    `vllm bench serve` has them; a chat's opening piece without text is none. Without a usage the pieces are counted.

    Raises:
        KeyError, IndexError, TypeError, ValueError, AttributeError: an event is no piece of a completion.
    """
    texts: list[str] = []
    times: list[float] = []
    calls: dict[int, dict[str, str]] = {}
    finish, ended = FinishReason.STOP, None
    usage: tuple[int, int] | None = None
    async for now, event in events:
        if event.get("usage"):
            usage = _usage(event)
        choices = event.get("choices")
        if not choices:
            continue
        choice = choices[0]
        text = choice["delta"].get("content") if chat else choice["text"]
        pieces = (choice["delta"].get("tool_calls") or ()) if chat else ()
        for piece in pieces:
            _add_to_call(calls.setdefault(int(piece.get("index", 0)), {"id": "", "name": "", "arguments": ""}), piece)
        if choice.get("finish_reason"):
            finish, ended = _finish(choice), now
        if chat and not text and not pieces and not times:
            continue
        times.append(now)
        if text:
            texts.append(text)
            if on_text is not None:
                on_text(text)
    if not times:
        if ended is None:
            raise ValueError("a stream that neither said anything nor ended")
        times.append(ended)
    prompt_tokens, completion_tokens = usage or (0, len(times))
    return Generation(
        text="".join(texts),
        finish_reason=finish,
        tool_calls=_calls([{"id": call["id"], "function": call} for _, call in sorted(calls.items())]),
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        latency_s=times[-1] - started,
        ttft_s=times[0] - started,
        gaps_s=tuple(later - earlier for earlier, later in itertools.pairwise(times)),
    )


def _calls(listed: Iterable[Any]) -> tuple[ToolCall, ...]:
    return tuple(
        ToolCall(
            str(call.get("id") or f"call_{number}"),
            str(call["function"].get("name") or ""),
            str(call["function"].get("arguments") or "{}"),
        )
        for number, call in enumerate(listed, 1)
    )


def _add_to_call(call: dict[str, str], piece: Any) -> None:
    """Adds a streamed piece: the id and the name come once, the arguments in parts."""
    function = piece.get("function") or {}
    call["id"] = call["id"] or str(piece.get("id") or "")
    call["name"] = call["name"] or str(function.get("name") or "")
    call["arguments"] += str(function.get("arguments") or "")


def _usage(answer: Any) -> tuple[int, int]:
    usage = answer.get("usage") or {}
    return int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)


def _finish(choice: Any) -> FinishReason:
    reason = choice.get("finish_reason")
    return FinishReason(reason) if reason in ("length", "tool_calls") else FinishReason.STOP


def _choice_logprobs(choice: Any, wanted: Sequence[str], *, chat: bool) -> tuple[float, ...] | None:
    """The best log-probability of a first token that is the choice, white space aside; None when none was given."""
    logprobs = choice.get("logprobs")
    if not logprobs:
        return None
    if chat:
        top = {entry["token"]: entry["logprob"] for entry in logprobs["content"][0]["top_logprobs"]}
    else:
        top = logprobs["top_logprobs"][0]
    best = {want.strip(): float("-inf") for want in wanted}
    for token, value in top.items():
        if token.strip() in best:
            best[token.strip()] = max(best[token.strip()], float(value))
    if all(value == float("-inf") for value in best.values()):
        return None
    return tuple(best[want.strip()] for want in wanted)
