"""A model in this process through Transformers: the accurate sampler, on the GPU where there is one."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from stackbench.errors import GenerationError, ModelLostError, ModelNotAvailableError, StackbenchError, one_line
from stackbench.models.gpus import GpuReader
from stackbench.models.hf_loading import LoadedModel, load_hf
from stackbench.models.options import ModelOptions
from stackbench.types import Generation, Request, ServerLoad, TokenCount

if TYPE_CHECKING:
    from stackbench.models.decoding import BatchDecoder
    from stackbench.models.length_buckets import Row

__all__ = ["HFModel"]

LONGEST_STEP_S = 10.0

Waiting = tuple[Request, "asyncio.Future[Generation]"]


class HFModel:
    """Requests from all callers wait in one queue; a thread of its own decodes them in continuous batches."""

    plain_prompts = True
    scores_choices = True
    backlog = 0
    has_speed = True

    def __init__(self, name: str, target: str, options: ModelOptions) -> None:
        self.name = name
        self.chat = True
        self.native_tools = False
        self.window: int | None = None
        self.concurrency = 64
        self.gpus = 0
        self.sampling_defaults: Mapping[str, float] = {}
        self._target = target
        self._options = options
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._held: deque[Row] = deque()
        """The next to join, once there is room for their keys and values."""
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unanswered: set[asyncio.Future[Generation]] = set()
        """Of the event loop's thread."""
        self._ended: StackbenchError | None = None
        """Why nothing more is answered."""
        self._loaded: LoadedModel | None = None
        self._decoder: BatchDecoder | None = None
        self._gpu_reader: GpuReader | None = None
        self._closing = False
        self._about: dict[str, Any] = {"kind": "hf"}

    async def start(self, say: Callable[[str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._work, args=(say, ready), name="hf-decoder", daemon=True)
        self._thread.start()
        await ready

    async def generate(self, requests: Sequence[Request]) -> list[Generation]:
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

    async def count_tokens(self, request: Request) -> TokenCount:
        assert self._loaded is not None, "start() was not called"
        return TokenCount(await asyncio.to_thread(self._loaded.reader.count, request), exact=True)

    def load(self) -> ServerLoad | None:
        decoder = self._decoder
        if decoder is None:
            return None
        import psutil

        gpus = self._gpu_reader.read() if self._gpu_reader else []
        return ServerLoad(
            running=decoder.live,
            waiting=self._queue.qsize() + len(self._held),
            kv_cache=None,
            prompt_tokens=decoder.prompt_tokens,
            completion_tokens=decoder.completion_tokens,
            prefix_queries=decoder.prompt_tokens,
            prefix_hits=decoder.prefix_hits,
            preemptions=0,
            memory_bytes=psutil.Process().memory_info().rss,
            vram_bytes=sum(gpu.vram_used for gpu in gpus),
        )

    def describe(self) -> Mapping[str, Any]:
        return self._about

    async def close(self) -> None:
        self._closing = True
        self._queue.put(None)
        if self._thread is not None and self._loaded is not None:
            await asyncio.to_thread(self._thread.join, LONGEST_STEP_S)
        self._end(GenerationError(f"{self.name} was closed before it answered"))

    def _end(self, why: StackbenchError) -> None:
        """Nothing more is answered: whoever waits hears why."""
        self._ended = self._ended or why
        for future in list(self._unanswered):
            if not future.done():
                future.set_exception(self._ended)

    # -- the decoding thread

    def _work(self, say: Callable[[str], None], ready: asyncio.Future[None]) -> None:
        """Fetches, loads, then decodes to the end. A download or load that nobody waits for any more ends with us."""
        loop = self._loop
        assert loop is not None

        def tell(line: str) -> None:
            if not self._closing:
                self._on_loop(say, line)

        def settle(error: BaseException | None) -> None:
            if ready.done():
                return
            if error is None:
                ready.set_result(None)
            else:
                ready.set_exception(error)

        # Whatever happens here, somebody waits for it; a panic of a library in Rust is no Exception.
        try:
            decoder = self._load(tell)
        except BaseException as error:
            self._on_loop(settle, error if isinstance(error, StackbenchError) else _not_loaded(self._target, error))
            return
        self._on_loop(settle, None)
        try:
            self._decode(decoder, tell)
        except BaseException as error:
            self._on_loop(self._end, ModelLostError(f"{self.name} stopped decoding: {_named(error)}"))
        finally:
            if self._loaded is not None and self._loaded.reader.template is not None:
                self._loaded.reader.template.close()

    def _on_loop(self, call: Callable[..., object], *arguments: object) -> None:
        """Calls there; a loop that is closed has nobody who waits."""
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *arguments)

    def _load(self, say: Callable[[str], None]) -> BatchDecoder:
        loaded = self._loaded = load_hf(self._target, self._options, lambda: self._closing, say)
        self.chat = loaded.reader.template is not None
        self.native_tools = loaded.reader.template is not None and loaded.reader.template.takes_tools
        self.gpus, self.window = loaded.gpus, loaded.reader.window
        self.concurrency = 2 * loaded.decoder.max_batch
        self.sampling_defaults = loaded.sampling_defaults
        self._about |= loaded.about
        if loaded.gpus:
            self._gpu_reader = GpuReader()
        self._decoder = loaded.decoder
        return loaded.decoder

    def _decode(self, decoder: BatchDecoder, say: Callable[[str], None]) -> None:
        """Joins waiting requests into the batch when an eighth of it is free, else draws the next tokens."""
        while not self._closing:
            room = decoder.max_batch - decoder.live
            if decoder.live == 0 or (room >= decoder.max_batch // 8 and (self._held or not self._queue.empty())):
                joining = self._take(decoder, room)
            else:
                joining = []
            problem, short_of_memory = _advance(decoder, joining)
            if not problem:
                continue
            # Out of the handler, so that no traceback holds on to tensors.
            rows = [row for row in dict.fromkeys([*joining, *decoder.abandon()]) if row.finish is None]
            if short_of_memory and len(rows) > 1:
                decoder.make_do_with(len(rows) // 2)
                say(f"out of memory with {len(rows)} requests under way: begun again, {decoder.max_batch} at a time")
                for row in rows:
                    row.begin_again()
                self._held.extendleft(reversed(rows))
            else:
                for row in rows:
                    row.done(GenerationError(f"decoding failed: {problem}"))

    def _take(self, decoder: BatchDecoder, room: int) -> list[Row]:
        """The next requests, as many as there is room for; waits for one where nothing is under way."""
        rows: list[Row] = []
        while len(rows) < room:
            row = self._held.popleft() if self._held else self._next_row(wait=decoder.live == 0 and not rows)
            if row is None:
                break
            if not decoder.has_room(row, rows):
                self._held.appendleft(row)
                break
            rows.append(row)
        return rows

    def _next_row(self, *, wait: bool) -> Row | None:
        """The next request that can be answered; None when there is none now, or no more will come."""
        while True:
            try:
                waiting = self._queue.get(block=wait)
            except queue.Empty:
                return None
            if waiting is None:
                return None
            request, future = waiting
            assert self._loaded is not None, "nothing is read before the model is loaded"
            try:
                return self._loaded.reader.row(request, partial(self._resolve, future))
            except GenerationError as error:
                self._resolve(future, error)
            except BaseException as error:  # of the tokenizer, say: this request's fault alone
                self._resolve(future, GenerationError(f"the prompt cannot be read: {_named(error)}"))

    def _resolve(self, future: asyncio.Future[Generation], outcome: Generation | GenerationError) -> None:
        def settle() -> None:
            if future.done():
                return
            if isinstance(outcome, Generation):
                future.set_result(outcome)
            else:
                future.set_exception(outcome)

        self._on_loop(settle)


def _advance(decoder: BatchDecoder, joining: list[Row]) -> tuple[str, bool]:
    """One round of decoding: what went wrong (empty when nothing did), and whether memory was short."""
    try:
        decoder.add(joining)
        decoder.step()
    except BaseException as error:  # whatever it was, these rows are waited for
        import torch

        short = isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)
        return one_line(error) if isinstance(error, RuntimeError) else _named(error), short
    return "", False


def _named(error: BaseException) -> str:
    """An error that nobody expected, with its type."""
    return f"{type(error).__name__}: {one_line(error)}"


def _not_loaded(target: str, error: BaseException) -> ModelNotAvailableError:
    found = ModelNotAvailableError(f"{target} cannot be loaded: {_named(error)}")
    found.__cause__ = error
    return found
