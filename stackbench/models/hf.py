"""A model in this process through Transformers: the accurate sampler, on the GPU where there is one."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stackbench.errors import GenerationError, ModelNotAvailableError, one_line
from stackbench.models.gpus import GpuReader
from stackbench.models.loading import choose_placement, free_bytes, load_weights
from stackbench.models.memory import entry_of, kv_bytes_per_token
from stackbench.models.options import ModelOptions
from stackbench.models.pull import file_hashes, origin, quantized_variant
from stackbench.models.tool_calls import chat_for_template, take_calls, tools_for_template
from stackbench.thoughts import opens_thought, without_thoughts
from stackbench.types import FinishReason, Generation, Request, ServerLoad

if TYPE_CHECKING:
    from stackbench.models.cohorts import Row
    from stackbench.models.decoding import BatchDecoder

__all__ = ["HFModel", "with_calls"]

LONGEST_STEP_S = 10.0
CACHE_SHARE = 2
"""One part in so many of the memory that the weights leave free is for the keys and values of what is decoded."""
KEPT_SHARE = 8
"""One part in so many holds what was read of chats that go on."""

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
        self._target = target
        self._options = options
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._held: deque[Row] = deque()
        """The next to join, once there is room for their keys and values."""
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._model: Any = None
        self._tokenizer: Any = None
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
        futures: list[asyncio.Future[Generation]] = []
        for request in requests:
            future: asyncio.Future[Generation] = self._loop.create_future()
            futures.append(future)
            self._queue.put((request, future))
        return list(await asyncio.gather(*futures))

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
        if self._thread is not None and self._model is not None:
            await asyncio.to_thread(self._thread.join, LONGEST_STEP_S)

    # -- the decoding thread

    def _work(self, say: Callable[[str], None], ready: asyncio.Future[None]) -> None:
        """Fetches, loads, then decodes to the end. A download or load that nobody waits for any more ends with us."""
        loop = self._loop
        assert loop is not None

        def tell(line: str) -> None:
            if not self._closing:
                loop.call_soon_threadsafe(say, line)

        def settle(error: Exception | None) -> None:
            if ready.done():
                return
            if error is None:
                ready.set_result(None)
            else:
                ready.set_exception(error)

        try:
            decoder = self._load(tell)
        except Exception as error:
            if not self._closing:
                loop.call_soon_threadsafe(settle, error)
            return
        if self._closing:
            return
        loop.call_soon_threadsafe(settle, None)
        self._decode(decoder, tell)

    def _load(self, say: Callable[[str], None]) -> BatchDecoder:
        options = self._options
        if options.gpus is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = options.gpus
        try:
            import torch
            import transformers

            from stackbench.models.decoding import ATTENTION, BatchDecoder, register_attention
            from stackbench.models.packed import pack_linear_layers
        except ImportError as error:
            raise ModelNotAvailableError(
                f"hf: models need the local extra ({error.name} is missing); run: pip install 'stackbench[local]'"
            ) from error
        folder, quantization = quantized_variant(self._target, options.quantization, options.home / "models", say)
        transformers.utils.logging.disable_progress_bar()
        register_attention()
        placement = choose_placement(options.dtype)
        say(f"loading {folder.name} on {placement.describe()}{f', {quantization}' if quantization else ''}")
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise ModelNotAvailableError(f"{folder} cannot be loaded: {one_line(error)}") from error
        self._model = load_weights(folder, placement, quantization, ATTENTION)
        self.chat = self._tokenizer.chat_template is not None
        template = str(self._tokenizer.chat_template)
        self.native_tools = "tools" in template and "<tool_call>" in template
        self.gpus = placement.gpus
        window = int(self._model.config.get_text_config().max_position_embeddings)
        self.window = min(window, options.max_model_len or window)
        max_batch = options.max_batch or (256 if placement.gpus else 64)
        self.concurrency = 2 * max_batch
        method = getattr(self._model.config, "quantization_config", None)
        if not placement.gpus and method is None:
            pack_linear_layers(self._model, max_batch)
        self._about |= {
            "target": self._target,
            "files": file_hashes(folder),
            "origin": origin(folder),
            "device": torch.cuda.get_device_name() if placement.gpus else "cpu",
            "gpus": placement.gpus,
            "dtype": str(placement.dtype).removeprefix("torch."),
            "quantization": quantization or _method(method),
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "transformers": transformers.__version__,
            "context_window": self.window,
            "max_batch": max_batch,
        }
        if placement.gpus:
            self._gpu_reader = GpuReader()
        free = free_bytes(placement)
        self._decoder = BatchDecoder(
            self._model,
            self._tokenizer,
            self._eos_ids(),
            max_batch=max_batch,
            cache_tokens=free // CACHE_SHARE // kv_bytes_per_token(entry_of(str(folder)), placement.dtype.itemsize * 8),
            kept_bytes=free // KEPT_SHARE,
            stopping=lambda: self._closing,
        )
        return self._decoder

    def _eos_ids(self) -> set[int]:
        listed = self._model.generation_config.eos_token_id
        ids = set(listed if isinstance(listed, list) else [listed]) | {self._tokenizer.eos_token_id}
        for token in ("<|im_end|>", "<|endoftext|>", "<|eot_id|>"):
            token_id = self._tokenizer.convert_tokens_to_ids(token)
            if isinstance(token_id, int) and token_id != self._tokenizer.unk_token_id:
                ids.add(token_id)
        return {int(token_id) for token_id in ids if token_id is not None}

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
            try:
                return self._row(*waiting)
            except GenerationError as error:
                self._resolve(waiting[1], error)

    def _row(self, request: Request, future: asyncio.Future[Generation]) -> Row:
        from stackbench.models.cohorts import Row

        if request.prompt is None:
            text = self._tokenizer.apply_chat_template(
                chat_for_template(request.messages),
                tools=tools_for_template(request.tools),
                tokenize=False,
                add_generation_prompt=True,
            )
            ids = self._tokenizer.encode(text, add_special_tokens=False)
            opened = opens_thought(text)
        else:
            opened = False
            ids = self._tokenizer.encode(request.prompt)
        assert self.window is not None, "nothing is decoded before the model is loaded"
        if len(ids) >= self.window:
            raise GenerationError(f"the prompt has {len(ids)} tokens, the model's window holds {self.window}")
        if not ids:
            raise GenerationError("the prompt is empty")
        return Row(
            request=request,
            prompt_ids=ids,
            max_tokens=min(request.sampling.max_tokens, self.window - len(ids)),
            choice_ids=[self._choice_id(choice) for choice in request.choices],
            done=lambda outcome: self._resolve(future, _read(outcome, request, opened)),
        )

    def _choice_id(self, choice: str) -> int:
        ids = self._tokenizer.encode(choice, add_special_tokens=False)
        if len(ids) != 1:
            raise GenerationError(f'the choice "{choice}" is {len(ids)} tokens for this model, not one')
        return ids[0]

    def _resolve(self, future: asyncio.Future[Generation], outcome: Generation | GenerationError) -> None:
        assert self._loop is not None

        def settle() -> None:
            if future.done():
                return
            if isinstance(outcome, Generation):
                future.set_result(outcome)
            else:
                future.set_exception(outcome)

        self._loop.call_soon_threadsafe(settle)


def _advance(decoder: BatchDecoder, joining: list[Row]) -> tuple[str, bool]:
    """One round of decoding: what went wrong (empty when nothing did), and whether memory was short."""
    try:
        decoder.add(joining)
        decoder.step()
    except (RuntimeError, MemoryError) as error:
        import torch

        short = isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)
        return one_line(error), short
    return "", False


def _read(outcome: Generation | GenerationError, request: Request, opened: bool) -> Generation | GenerationError:
    """What was generated for a request: thoughts apart where calls are read or the chat template began one."""
    if isinstance(outcome, Generation) and (opened or request.tools) and not request.choices:
        outcome = without_thoughts(outcome, opened=opened)
    return with_calls(outcome) if request.tools else outcome


def with_calls(outcome: Generation | GenerationError) -> Generation | GenerationError:
    """A generation with the calls in its text as calls; its thoughts hold none."""
    if not isinstance(outcome, Generation):
        return outcome
    outcome = without_thoughts(outcome)
    text, calls = take_calls(outcome.text)
    finish = FinishReason.TOOL_CALLS if calls and outcome.finish_reason is FinishReason.STOP else outcome.finish_reason
    return replace(outcome, text=text, tool_calls=calls, finish_reason=finish)


def _method(config: Any) -> str | None:
    """The quantisation that a checkpoint comes with."""
    found = config.get("quant_method") if isinstance(config, dict) else getattr(config, "quant_method", None)
    return None if found is None else str(getattr(found, "value", found))
