"""Starts a server as requested or, where memory is short, with smaller settings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stackbench.errors import ModelNotAvailableError
from stackbench.models.hardware import cpu_has_bfloat16
from stackbench.models.manifest import model_config
from stackbench.models.options import ModelOptions
from stackbench.models.pull import quantized_variant
from stackbench.models.vllm.command import Loading, serve_command
from stackbench.models.vllm.fallback import next_loading
from stackbench.models.vllm.server import LoadingFailed, VllmServer
from stackbench.types import Variant

__all__ = ["Loader"]

PORTS_TRIED = 3
USUAL_WINDOW = 32768


class Loader:
    """Starts servers of one model; `history` tells what was tried and what came of it, for the run's record."""

    def __init__(self, target: str, options: ModelOptions, log: Path, gpus: int, say: Callable[[str], None]) -> None:
        self.history: list[dict[str, Any]] = []
        self._target = target
        self._options = options
        self._log = log
        self._gpus = gpus
        self._say = say

    async def first(self, variant: Variant) -> Loading:
        """How the model is to be loaded, from the run's options and what the variant sets; fetches what is missing.

        Raises:
            UsageError, ModelNotAvailableError: there is no such model.
        """
        options = self._options
        folder, quantization = await asyncio.to_thread(self._weights, variant.quantization or options.quantization)
        dtype = options.dtype
        if dtype is None and not self._gpus and not cpu_has_bfloat16():
            dtype = "float32"  # four times as fast as bfloat16 that the processor does not know
        return Loading(
            folder,
            quantization,
            options.max_model_len,
            options.gpu_memory_utilization,
            variant.batch_size or options.max_num_seqs,
            dtype,
        )

    async def load(self, loading: Loading, *, exact: bool = False) -> tuple[VllmServer, Loading]:
        """A server that answers, and the way it was loaded in the end; with `exact`, in the way given or not at all.

        Raises:
            ModelNotAvailableError: it cannot be served.
        """
        tried = [loading]
        ports = 0
        while True:
            try:
                server = await self._start(loading)
            except LoadingFailed as failed:
                found = failed.diagnosis
                self.remember("failed to load", loading, found.text)
                if found.port and ports < PORTS_TRIED:
                    ports += 1
                    continue
                if exact or not found.memory:
                    raise
                window = _window(loading.folder)
                smaller = await asyncio.to_thread(next_loading, tried, found, window, self._allowed_quantized)
                if smaller is None:
                    raise self._does_not_fit(len(tried), found.text) from failed
                self._say(f"{self._target} does not fit ({found.text}); trying {_difference(loading, smaller)}")
                loading = smaller
                tried.append(loading)
                continue
            self.remember("serving", loading)
            return server, loading

    def remember(self, what: str, loading: Loading, detail: str = "") -> None:
        """Adds to the history."""
        entry = {"what": what, **{k: v for k, v in loading.describe().items() if v is not None}}
        self.history.append(entry | ({"detail": detail} if detail else {}))

    async def _start(self, loading: Loading) -> VllmServer:
        server = VllmServer(serve_command(self._target, loading, self._options, gpus=self._gpus > 0), self._log)
        self._say(f"starting vLLM for {self._target} (its log: {self._log})")
        try:
            await server.start()
            await server.wait_ready(self._say, self._options.load_timeout_s)
        except BaseException:
            await server.stop()
            raise
        return server

    def _weights(self, quantization: str | None) -> tuple[Path, str | None]:
        return quantized_variant(
            self._target, quantization, self._options.models, self._say, self._options.home / "models"
        )

    def _allowed_quantized(self) -> tuple[Path, str] | None:
        allowed = self._options.allow_quantized
        if not allowed:
            return None
        folder, flag = self._weights(allowed)
        return folder, flag or allowed

    def _does_not_fit(self, tries: int, text: str) -> ModelNotAvailableError:
        return ModelNotAvailableError(
            f"{self._target} does not fit into this machine's memory ({tries} ways tried; the last: {text}); allow a "
            f"quantised variant with --allow-quantized, or set --max-model-len; its log: {self._log}"
        )


def _window(folder: Path) -> int:
    """The context of a model in tokens, as its configuration has it."""
    config = model_config(folder)
    return int(config.get("text_config", config).get("max_position_embeddings", USUAL_WINDOW))


def _difference(before: Loading, after: Loading) -> str:
    old, new = before.describe(), after.describe()
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in new.items() if value != old[name])
