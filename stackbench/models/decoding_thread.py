"""The thread that a model in this process decodes on, between a queue of requests and the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from stackbench.errors import GenerationError, ModelLostError, ModelNotAvailableError, StackbenchError, one_line
from stackbench.types import Generation, Request

if TYPE_CHECKING:
    from stackbench.models.hf_loading import LoadedModel
    from stackbench.models.length_buckets import Row

__all__ = ["DecodingThread", "Loader"]

LONGEST_STEP_S = 10.0

Say = Callable[[str], None]
Loader = Callable[[Callable[[], bool], Say], "LoadedModel"]
"""Loads the model; is given what tells whether it is still wanted, and what takes lines about what takes long."""


class DecodingThread:
    """Loads a model on a thread of its own and decodes what is asked of it there, in continuous batches.

    Futures belong to the event loop that called `start`; the decoder belongs to the thread.
    """

    def __init__(self, name: str, target: str, load: Loader) -> None:
        self.loaded: LoadedModel | None = None
        self._name = name
        self._target = target
        self._load = load
        self._queue: queue.SimpleQueue[tuple[Request, asyncio.Future[Generation]] | None] = queue.SimpleQueue()
        self._held: deque[Row] = deque()
        """The next to join, once there is room for their keys and values."""
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unanswered: set[asyncio.Future[Generation]] = set()
        """Of the event loop's thread."""
        self._ended: StackbenchError | None = None
        """Why nothing more is answered."""
        self._closing = False

    @property
    def waiting(self) -> int:
        """Requests that are not being decoded yet."""
        return self._queue.qsize() + len(self._held)

    async def start(self, say: Say) -> LoadedModel:
        """Returns the model once it is loaded. Raises ModelNotAvailableError, UsageError: it cannot be."""
        self._loop = asyncio.get_running_loop()
        ready: asyncio.Future[LoadedModel] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, args=(say, ready), name="hf-decoder", daemon=True)
        self._thread.start()
        return await ready

    async def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """Raises GenerationError: one of them could not be answered."""
        assert self._loop is not None, "start() was not called"
        if self._ended is not None:
            raise self._ended
        futures: list[asyncio.Future[Generation]] = []
        for request in requests:
            future: asyncio.Future[Generation] = self._loop.create_future()
            futures.append(future)
            self._unanswered.add(future)
            future.add_done_callback(self._unanswered.discard)
            self._queue.put((request, future))
        return list(await asyncio.gather(*futures))

    async def close(self) -> None:
        """Ends the thread after its present step; a load that cannot be interrupted is left to end by itself."""
        self._closing = True
        self._queue.put(None)
        if self._thread is not None and self.loaded is not None:
            await asyncio.to_thread(self._thread.join, LONGEST_STEP_S)
        self._end(GenerationError(f"{self._name} was closed before it answered"))

    def _end(self, why: StackbenchError) -> None:
        """Nothing more is answered: whoever waits is told why."""
        self._ended = self._ended or why
        for future in list(self._unanswered):
            if not future.done():
                future.set_exception(self._ended)

    # -- on the thread

    def _run(self, say: Say, ready: asyncio.Future[LoadedModel]) -> None:
        """Fetches, loads, then decodes to the end. A download or load that nobody waits for any more ends with us."""

        def tell(line: str) -> None:
            if not self._closing:
                self._on_loop(say, line)

        def settle(outcome: LoadedModel | BaseException) -> None:
            if ready.done():
                return
            if isinstance(outcome, BaseException):
                ready.set_exception(outcome)
            else:
                ready.set_result(outcome)

        # Whatever happens here, somebody waits for it; a panic of a library in Rust is no Exception.
        try:
            loaded = self.loaded = self._load(lambda: self._closing, tell)
        except BaseException as error:
            self._on_loop(settle, error if isinstance(error, StackbenchError) else _not_loaded(self._target, error))
            return
        self._on_loop(settle, loaded)
        try:
            self._decode(loaded, tell)
        except BaseException as error:
            self._on_loop(self._end, ModelLostError(f"{self._name} stopped decoding: {_with_type(error)}"))
        finally:
            if loaded.reader.template is not None:
                loaded.reader.template.close()

    def _on_loop(self, call: Callable[..., object], *arguments: object) -> None:
        """Calls there; a loop that is closed has nobody who waits."""
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *arguments)

    def _decode(self, loaded: LoadedModel, say: Say) -> None:
        """Joins waiting requests into the batch when an eighth of it is free, else draws the next tokens."""
        decoder = loaded.decoder
        while not self._closing:
            room = decoder.max_batch - decoder.live
            if decoder.live == 0 or (room >= decoder.max_batch // 8 and (self._held or not self._queue.empty())):
                joining = self._take(loaded, room)
            else:
                joining = []
            problem, short_of_memory = _advance(loaded, joining)
            if not problem:
                continue
            # Out of the handler, so that no traceback holds on to tensors.
            rows = [row for row in dict.fromkeys([*joining, *decoder.abandon()]) if row.finish is None]
            if short_of_memory and len(rows) > 1:
                decoder.reduce_memory(len(rows) // 2)
                say(f"out of memory with {len(rows)} requests under way: begun again, {decoder.max_batch} at a time")
                for row in rows:
                    row.restart()
                self._held.extendleft(reversed(rows))
            else:
                for row in rows:
                    row.done(GenerationError(f"decoding failed: {problem}"))

    def _take(self, loaded: LoadedModel, room: int) -> list[Row]:
        """The next requests, as many as there is room for; waits for one where nothing is under way."""
        rows: list[Row] = []
        while len(rows) < room:
            idle = loaded.decoder.live == 0 and not rows
            row = self._held.popleft() if self._held else self._next_row(loaded, wait=idle)
            if row is None:
                break
            if not loaded.decoder.has_room(row, rows):
                self._held.appendleft(row)
                break
            rows.append(row)
        return rows

    def _next_row(self, loaded: LoadedModel, *, wait: bool) -> Row | None:
        """The next request that can be answered; None when there is none now, or no more will come."""
        while True:
            try:
                waiting = self._queue.get(block=wait)
            except queue.Empty:
                return None
            if waiting is None:
                return None
            request, future = waiting
            try:
                return loaded.reader.row(request, partial(self._resolve, future))
            except GenerationError as error:
                self._resolve(future, error)
            except BaseException as error:  # of the tokenizer, say: this request's fault alone
                self._resolve(future, GenerationError(f"the prompt cannot be read: {_with_type(error)}"))

    def _resolve(self, future: asyncio.Future[Generation], outcome: Generation | GenerationError) -> None:
        def settle() -> None:
            if future.done():
                return
            if isinstance(outcome, Generation):
                future.set_result(outcome)
            else:
                future.set_exception(outcome)

        self._on_loop(settle)


def _advance(loaded: LoadedModel, joining: list[Row]) -> tuple[str, bool]:
    """One round of decoding: what went wrong (empty when nothing did), and whether memory was short."""
    try:
        loaded.decoder.add(joining)
        loaded.decoder.step()
    except BaseException as error:  # whatever it was, these rows are waited for
        import torch

        short = isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)
        return one_line(error) if isinstance(error, RuntimeError) else _with_type(error), short
    return "", False


def _with_type(error: BaseException) -> str:
    """An error that nobody expected, with its type."""
    return f"{type(error).__name__}: {one_line(error)}"


def _not_loaded(target: str, error: BaseException) -> ModelNotAvailableError:
    found = ModelNotAvailableError(f"{target} cannot be loaded: {_with_type(error)}")
    found.__cause__ = error
    return found
