"""Assembles the events of a stream to one generation, with the arrival time of each chunk."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from stackbench.models.openai.answer import piece_of, tokens_of
from stackbench.models.openai.calls import StreamedCalls
from stackbench.models.openai.faults import AnswerError
from stackbench.models.openai.wire import cut_at_stop, sent, without_prefill
from stackbench.redaction import Redaction
from stackbench.types import FinishReason, Generation, Request, ToolCall

__all__ = ["streamed_generation"]

PIECES_PER_TOKEN = 8
PIECES_BESIDE = 2000
OPENING, CLOSING = "<think>", "</think>"


async def streamed_generation(
    events: AsyncIterator[tuple[float, dict[str, Any]]],
    started: float,
    request: Request,
    body: Mapping[str, Any],
    redaction: Redaction,
) -> Generation:
    """Adds up a stream whose request was sent at `started` (seconds of `time.perf_counter`).

    Time to first token runs to the first piece, of a thought or of the answer, each gap from one piece to the next, and
    the latency to the last, as `vllm bench serve` has them; a chat's opening piece without text is none. Without a
    usage the pieces are counted. A stream is at its end where it says so, where it gave the reason of its ending, or
    where the text came to a stop string.

    Raises:
        AnswerError: an event is no piece of a completion, or there are more than the limit of tokens explains.
        GenerationError: the stream broke off.
    """
    chat = request.prompt is None
    stops = request.sampling.stop
    texts = _Answer(stops, redaction, request.on_text)
    thoughts = _Answer((), redaction, request.on_thought)
    times: list[float] = []
    first_answer: float | None = None
    calls = StreamedCalls()
    finish: FinishReason | None = None
    ended = 0.0
    prompt_tokens = completion_tokens = None
    most = PIECES_BESIDE + PIECES_PER_TOKEN * request.sampling.max_tokens
    try:
        async for now, event in events:
            usage = event.get("usage")
            if usage:
                counted = tokens_of(usage)
                prompt_tokens = counted[0] if prompt_tokens is None or counted[0] is not None else prompt_tokens
                completion_tokens = counted[1] if counted[1] is not None else completion_tokens
            piece = piece_of(event, chat=chat)
            if piece is None:
                continue
            text, thought = piece.text, piece.thought
            called = chat and calls.add(piece.delta)
            if piece.finish is not None:
                finish, ended = piece.finish, now
            if chat and not (text or thought or called or times):
                continue
            times.append(now)
            if len(times) > most:
                raise AnswerError(f"a stream of more than {most} pieces for {request.sampling.max_tokens} tokens")
            if thought:
                thoughts.add(thought)
            if first_answer is None and (called or (text and texts.begins_answer(text))):
                first_answer = now
            if text and texts.add(text):
                finish = FinishReason.STOP
                break
    except ValueError as error:
        raise AnswerError(redaction.message(str(error))) from error
    if not times:
        if finish is None:
            raise AnswerError("a stream that neither said anything nor ended")
        times.append(ended)
    whole, cut = cut_at_stop(without_prefill(texts.end(), body), stops)
    if redaction:
        whole = redaction.answer(whole)
    return Generation(
        text=whole,
        finish_reason=FinishReason.STOP if cut else finish or FinishReason.STOP,
        tool_calls=tuple(_redacted(call, redaction) for call in calls.calls()),
        prompt_tokens=prompt_tokens or 0,
        completion_tokens=len(times) if completion_tokens is None else completion_tokens,
        latency_s=times[-1] - started,
        ttft_s=times[0] - started,
        gaps_s=tuple(later - earlier for earlier, later in itertools.pairwise(times)),
        thought=redaction.answer(thoughts.end()),
        first_answer_s=None if first_answer is None else first_answer - started,
        sent=sent(body),
    )


class _Answer:
    """The text of an answer as it grows: tells who listens, and looks for stop strings and the end of a thought."""

    def __init__(self, stops: tuple[str, ...], redaction: Redaction, on_text: Callable[[str], None] | None) -> None:
        self._pieces: list[str] = []
        self._stops = tuple(stop for stop in stops if stop)
        self._longest = max(map(len, self._stops), default=0)
        self._tail = ""
        """The end of the text, in which a stop string may have begun."""
        self._redaction = redaction
        self._on_text = on_text
        self._held_back = ""
        self._head: str | None = ""
        """The beginning of the text, until it is clear whether a thought stands there."""
        self._thinking = ""
        """The end of a thought within the text, while it lasts."""

    def add(self, text: str) -> bool:
        """Takes a piece; True where a stop string is complete."""
        self._pieces.append(text)
        if self._on_text is not None:
            self._held_back += text
        if self._longest:
            self._tail += text
            if any(stop in self._tail for stop in self._stops):
                return True
            self._tail = self._tail[-self._longest :]
        if self._on_text is not None:
            self._held_back = self._redaction.answer(self._held_back)
            self._tell(self._held())
        return False

    def begins_answer(self, text: str) -> bool:
        """Whether this piece holds something of the answer: thoughts may stand before it, in their tags."""
        if self._head is not None:
            self._head += text
            head = self._head.lstrip()
            if not head or (len(head) < len(OPENING) and OPENING.startswith(head)):
                return False
            self._head = None
            if not head.startswith(OPENING):
                return True
            text = self._thinking = head
        else:
            self._thinking += text
        _, closed, answer = self._thinking.partition(CLOSING)
        if closed:
            self._thinking = CLOSING + answer.lstrip()
            return bool(answer.strip())
        self._thinking = self._thinking[-len(CLOSING) :]
        return False

    def end(self) -> str:
        """The whole text; who listens is told the rest of it."""
        if self._held_back:
            self._held_back, _ = cut_at_stop(self._held_back, self._stops)
            self._tell(0)
        return "".join(self._pieces)

    def _held(self) -> int:
        """How many characters at the end may be the beginning of a stop string or of a secret."""
        held = self._redaction.held_back(self._held_back)
        for stop in self._stops:
            most = min(len(stop) - 1, len(self._held_back))
            held = max(held, next((size for size in range(most, 0, -1) if self._held_back.endswith(stop[:size])), 0))
        return held

    def _tell(self, held: int) -> None:
        end = len(self._held_back) - held
        counted, self._held_back = self._held_back[:end], self._held_back[end:]
        if counted and self._on_text is not None:
            self._on_text(self._redaction.answer(counted))


def _redacted(call: ToolCall, redaction: Redaction) -> ToolCall:
    if not redaction:
        return call
    return ToolCall(redaction.answer(call.id), redaction.answer(call.name), redaction.answer(call.arguments))
