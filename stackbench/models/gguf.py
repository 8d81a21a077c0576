"""A GGUF file through llama.cpp: quick for few requests at once on a machine without a GPU."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stackbench.errors import GenerationError, ModelLostError, ModelNotAvailableError
from stackbench.extras import install_command
from stackbench.models.chat_template import read_template
from stackbench.models.gguf_header import GgufShape, read_shape
from stackbench.models.llama_server import LlamaServer, ServerSettings
from stackbench.models.loaded_files import hash_file
from stackbench.models.openai import OpenAIModel
from stackbench.models.options import ModelOptions
from stackbench.models.pull import locate_gguf
from stackbench.types import Generation, Request, TokenCount

__all__ = ["GgufModel"]

SLOTS = 8
USUAL_WINDOW = 8192
"""Tokens of a slot where the user sets none: their memory is taken when the model is loaded."""
SHORTEST_WINDOW = 512
CACHE_SHARE = 2
"""One part in so many of the memory that the weights leave free is for the keys and values of the slots."""
KEPT_SHARE = 8
"""One part in so many holds prompts that were read before."""
SEEN_ENDED_WITHIN_S = 0.5
RETRIES = 2
"""The server closes connections that were idle for some seconds, now and then one that is just being used again."""
LONGEST_REQUEST_S = 7 * 24 * 3600.0
GIB = 1 << 30


class GgufModel:
    """Implements `Model`: requests go to a llama.cpp server of our own, which decodes as many together as it has slots.

    Each request draws with its own seed. Its scores are computed from quantised weights and differ in their last bits
    with what is decoded beside it, so that the same seed nearly always, not always, draws the same answer.
    """

    has_speed = True

    def __init__(self, name: str, target: str, options: ModelOptions) -> None:
        self.name = name
        self.chat = True
        self.plain_prompts = True
        self.scores_choices = True
        self.native_tools = True
        self.window: int | None = None
        self.concurrency = options.max_batch or SLOTS
        self.gpus = 0
        self._target = target
        self._options = options
        self._server: LlamaServer | None = None
        self._client: OpenAIModel | None = None
        self._closed = threading.Event()
        self._about: dict[str, Any] = {"kind": "gguf", "target": target}

    async def start(self, say: Callable[[str], None]) -> None:
        if importlib.util.find_spec("xllamacpp") is None:
            raise ModelNotAvailableError(
                f"gguf: models need the gguf extra (xllamacpp is missing); run: {install_command('gguf')}"
            )
        named = self._options.chat_template
        template = "" if named is None else read_template(named)
        path = await asyncio.to_thread(
            locate_gguf, self._target, self._options.models, say, self._options.home / "models"
        )
        settings = self._settings(path, read_shape(path), template, say)
        say(f"loading {path.name} with llama.cpp, {settings.slots} requests at once, {settings.window:,} tokens each")
        hashing = asyncio.create_task(asyncio.to_thread(hash_file, path, self._options.home, self._closed.is_set))
        server = LlamaServer(settings, (self._options.logs or self._options.home) / "llama.log", self._options.gpus)
        try:
            await server.start()
            self._server = server
            self._client = await self._connect(server)
            hashes = await hashing
        except BaseException:
            self._closed.set()
            await asyncio.gather(hashing, return_exceptions=True)
            await self.close()
            raise
        self.chat, self.plain_prompts = self._client.chat, self._client.plain_prompts
        self.scores_choices, self.native_tools = self._client.scores_choices, self._client.native_tools
        self.window = settings.window
        self._about |= {
            **hashes.describe(),
            "xllamacpp": server.version,
            "slots": settings.slots,
            "context_window": settings.window,
            "threads": settings.threads,
            "chat_template": hashlib.sha256(template.encode()).hexdigest() if template else None,
            "capabilities": self._client.describe().get("capabilities", {}),
        }

    async def generate(self, requests: Sequence[Request]) -> list[Generation]:
        assert self._client is not None, "start() was not called"
        try:
            return await self._client.generate(requests)
        except Exception as error:
            if self._closed.is_set():
                raise GenerationError(f"{self.name} was closed before it answered") from error
            if self._server is not None and await self._server.wait_ended(SEEN_ENDED_WITHIN_S):
                raise ModelLostError(f"llama.cpp {self._server.why_ended()}; its log: {self._server.log}") from error
            raise

    async def count_tokens(self, request: Request) -> TokenCount:
        assert self._client is not None, "start() was not called"
        return await self._client.count_tokens(request)

    def describe(self) -> Mapping[str, Any]:
        return self._about

    async def close(self) -> None:
        self._closed.set()
        if self._server is not None:
            await self._server.stop()  # first: it ends the streams that are being read
        if self._client is not None:
            await self._client.close()

    def _settings(self, path: Path, shape: GgufShape, template: str, say: Callable[[str], None]) -> ServerSettings:
        """Slots and window that fit the memory. Raises ModelNotAvailableError where none do."""
        import psutil

        size, available = path.stat().st_size, int(psutil.virtual_memory().available)
        slots = self.concurrency
        fits = (available - size) // CACHE_SHARE // shape.kv_bytes_per_token // slots
        wanted = min(shape.context, self._options.max_model_len or USUAL_WINDOW)
        window = min(wanted, fits // 256 * 256)
        if window < min(SHORTEST_WINDOW, wanted):
            raise ModelNotAvailableError(
                f"{path.name} needs {size / GIB:.1f} GiB and {slots * wanted * shape.kv_bytes_per_token / GIB:.1f} GiB "
                f"for {slots} requests of {wanted:,} tokens; {available / GIB:.1f} GiB are free: use a smaller file, "
                "--max-batch or --max-model-len"
            )
        if window < wanted:
            say(f"memory for {slots} requests of {window:,} tokens each, not {wanted:,}; fewer at once: --max-batch")
        return ServerSettings(
            path=str(path.absolute()),
            name=self._target,
            slots=slots,
            window=window,
            threads=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
            cache_mib=max(0, available - size) // KEPT_SHARE >> 20,
            chat_template=template,
        )

    async def _connect(self, server: LlamaServer) -> OpenAIModel:
        options = self._options.model_copy(
            update={
                "retries": RETRIES,
                "request_timeout_s": LONGEST_REQUEST_S,
                "api_key_env": "",
                "headers": (f"Authorization: Bearer {server.settings.key}",),
                "extra_body": {},
                "parameter_names": {"repetition_penalty": "repeat_penalty"},
                "n_per_request": min(self._options.n_per_request, server.settings.slots),
            }
        )
        client = OpenAIModel(self.name, self._target, f"{server.url}/v1", options)
        try:
            await client.start(lambda line: None)
        except BaseException:
            await client.close()
            raise
        return client
