"""A model on a vLLM server of our own. What the server loses, is asked again: an attempt never pays for a crash."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stackbench.errors import GenerationError, ModelLostError, ModelNotAvailableError
from stackbench.models.base import ServerLoad
from stackbench.models.gpus import GpuReader
from stackbench.models.hardware import cpu_has_bfloat16, list_gpus
from stackbench.models.openai import OpenAIModel
from stackbench.models.openai.connection import RefusedError
from stackbench.models.options import ModelOptions
from stackbench.models.pull import file_hashes, locate, quantized_variant
from stackbench.models.vllm.command import Loading, serve_command
from stackbench.models.vllm.fallback import next_loading
from stackbench.models.vllm.server import LoadingFailed, VllmServer
from stackbench.types import Generation, Request, Variant

__all__ = ["VllmModel"]

RESTARTS = 3
WATCH_EVERY_S = 1.0
SEEN_DEAD_WITHIN_S = 5.0
FIRST_BACKOFF_S = 0.5
PORTS_TRIED = 3
LONGEST_REQUEST_S = 7 * 24 * 3600.0  # a server that hangs is found by its silence, not by one request's age


class VllmModel:
    """Implements `Model`, `Watched` and `Reloadable`."""

    def __init__(self, name: str, target: str, options: ModelOptions) -> None:
        self.name = name
        self.chat = True
        self.plain_prompts = True
        self.scores_choices = True
        self.concurrency = options.vllm.max_num_seqs or 64
        self.backlog = max(2, self.concurrency // 4)
        self.gpus = 0
        self.restarts = 0
        self._target = target
        self._options = options
        self._say: Callable[[str], None] = lambda line: None
        self._loading = Loading(Path())
        self._server: VllmServer | None = None
        self._client: OpenAIModel | None = None
        self._life = 0
        """Counts the servers; a request that failed on an earlier one is asked again."""
        self._up = asyncio.Event()
        self._gone: ModelLostError | None = None
        self._lost = asyncio.Event()
        self._watcher: asyncio.Task[None] | None = None
        self._in_flight = 0
        self._last_load: ServerLoad | None = None
        self._history: list[dict[str, Any]] = []
        self._about: dict[str, Any] = {}

    @property
    def url(self) -> str:
        """Where the server answers, as an OpenAI-compatible base URL."""
        assert self._server is not None, "start() was not called"
        return f"{self._server.url}/v1"

    @property
    def log(self) -> Path:
        return (self._options.logs or self._options.home) / "vllm.log"

    async def start(self, say: Callable[[str], None]) -> None:
        self._say = say
        folder = await asyncio.to_thread(locate, self._target, self._options.home / "models", say)
        if await asyncio.to_thread(list_gpus):
            self.gpus = self._options.vllm.tensor_parallel_size or 1
        loading = self._first_loading(folder)
        if loading.quantization:
            found = await asyncio.to_thread(self._stand_in, loading.quantization)
            loading = replace(loading, folder=found[0], quantization=found[1])
        await self._load(loading)
        self._watcher = asyncio.create_task(self._watch())

    async def generate(self, requests: Sequence[Request]) -> list[Generation]:
        if len(requests) == 1:
            return [await self._ask(requests[0])]
        return list(await asyncio.gather(*(self._ask(request) for request in requests)))

    def load(self) -> ServerLoad | None:
        return self._last_load

    async def wait_lost(self) -> ModelLostError:
        """Why the server is gone for good, once it is."""
        await self._lost.wait()
        assert self._gone is not None
        return self._gone

    async def reload(self, variant: Variant) -> None:
        wanted = self._first_loading((await asyncio.to_thread(self._stand_in, None))[0])
        quantization = variant.quantization or self._options.quantization
        if quantization:
            folder, flag = await asyncio.to_thread(self._stand_in, quantization)
            wanted = replace(wanted, folder=folder, quantization=flag)
        if variant.batch_size is not None:
            wanted = replace(wanted, max_num_seqs=variant.batch_size)
        if wanted == self._loading and self._server is not None and not self._server.ended:
            return
        await self._stop_serving()
        await self._load(wanted, exact=True)
        self._watcher = asyncio.create_task(self._watch())

    def describe(self) -> Mapping[str, Any]:
        client = dict(self._client.describe()) if self._client else {}
        return self._about | {
            "kind": "vllm",
            "target": self._target,
            "loading": self._loading.describe(),
            "history": list(self._history),
            "served": client.get("served", {}),
            "capabilities": client.get("capabilities", {}),
        }

    async def close(self) -> None:
        await self._stop_serving()

    # -- one request

    async def _ask(self, request: Request) -> Generation:
        failures = 0
        while True:
            await self._up.wait()
            if self._gone is not None:
                raise self._gone
            assert self._client is not None
            life = self._life
            self._in_flight += 1
            try:
                return (await self._client.generate([request]))[0]
            except RefusedError:
                raise
            except GenerationError:
                if await self._died(life):
                    continue
                failures += 1
                if failures > self._options.retries:
                    raise
                await asyncio.sleep(FIRST_BACKOFF_S * 2**failures)
            finally:
                self._in_flight -= 1

    async def _died(self, life: int) -> bool:
        """Whether a request failed since its server ended; a dying one is given some seconds to be seen so."""
        deadline = asyncio.get_running_loop().time() + SEEN_DEAD_WITHIN_S
        while asyncio.get_running_loop().time() < deadline:
            server = self._server
            if self._life != life or self._gone is not None or server is None or server.ended:
                return True
            if await server.healthy():
                return False
            await asyncio.sleep(0.1)
        return self._life != life

    # -- loading

    def _first_loading(self, folder: Path) -> Loading:
        options = self._options
        dtype = options.dtype
        if dtype is None and not self.gpus and not cpu_has_bfloat16():
            dtype = "float32"  # four times as fast as bfloat16 that the processor does not know
        return Loading(
            folder,
            options.quantization,
            options.max_model_len,
            options.vllm.gpu_memory_utilization,
            options.vllm.max_num_seqs,
            dtype,
        )

    def _stand_in(self, quantization: str | None) -> tuple[Path, str | None]:
        """The folder of the model in a quantisation, and the flag that vLLM needs for it."""
        models = self._options.home / "models"
        if quantization is None:
            return locate(self._target, models, self._say), None
        return quantized_variant(self._target, quantization, models, self._say)

    async def _load(self, loading: Loading, *, exact: bool = False) -> None:
        """Serves the model; where memory is short, in a smaller way, unless it has to be `exact`.

        Raises:
            ModelNotAvailableError: it cannot be served.
        """
        tried = [loading]
        ports = 0
        while True:
            try:
                await self._serve(loading)
                return
            except LoadingFailed as failed:
                found = failed.diagnosis
                self._remember("failed to load", loading, found.text)
                if found.port and ports < PORTS_TRIED:
                    ports += 1
                    continue
                if exact or not found.memory:
                    raise
                smaller = await asyncio.to_thread(
                    next_loading, tried, found, _window(loading.folder), self._allowed_stand_in
                )
                if smaller is None:
                    raise _does_not_fit(self._target, len(tried), found.text, failed) from failed
                self._say(f"{self._target} does not fit ({found.text}); trying {_difference(loading, smaller)}")
                loading = smaller
                tried.append(loading)

    def _allowed_stand_in(self) -> tuple[Path, str] | None:
        allowed = self._options.vllm.allow_quantized
        if not allowed:
            return None
        folder, flag = self._stand_in(allowed)
        return folder, flag or allowed

    async def _serve(self, loading: Loading) -> None:
        command = serve_command(self._target, loading, self._options, gpus=self.gpus > 0)
        server = VllmServer(command, self.log)
        self._say(f"starting vLLM for {self._target} (its log: {self.log})")
        try:
            await server.start()
            self._server = server
            await server.wait_ready(self._say, self._options.vllm.load_timeout_s)
            client = await self._connect(server)
        except BaseException:
            await server.stop()
            raise
        self._client, self._loading, self._last_load = client, loading, None
        self.chat, self.plain_prompts = client.chat, client.plain_prompts
        self.scores_choices = client.scores_choices
        self._about = {
            "vllm": await server.version(),
            "files": file_hashes(loading.folder),
            "device": f"{self.gpus} GPU" if self.gpus else "cpu",
        }
        self._remember("serving", loading)
        self._up.set()

    async def _connect(self, server: VllmServer) -> OpenAIModel:
        options = self._options.model_copy(
            update={"retries": 0, "request_timeout_s": LONGEST_REQUEST_S, "api_key_env": ""}
        )
        client = OpenAIModel(self.name, self._target, f"{server.url}/v1", options)
        await client.start(lambda line: None)
        return client

    def _remember(self, what: str, loading: Loading, detail: str = "") -> None:
        entry = {"what": what, **{k: v for k, v in loading.describe().items() if v is not None}}
        self._history.append(entry | ({"detail": detail} if detail else {}))

    # -- watching

    async def _watch(self) -> None:
        """Reads the load each second; a server that ended, or makes no token though asked to, is started again."""
        loop = asyncio.get_running_loop()
        gpus = await asyncio.to_thread(GpuReader)
        tokens, moved_at = -1, loop.time()
        while self._gone is None:
            await asyncio.sleep(WATCH_EVERY_S)
            server = self._server
            assert server is not None
            if server.ended:
                await self._restart(await server.why_ended())
                tokens, moved_at = -1, loop.time()
                continue
            load = await server.load()
            if load is not None:
                used = sum(gpu.vram_used for gpu in await asyncio.to_thread(gpus.read)) if self.gpus else 0
                self._last_load = replace(load, vram_bytes=used)
            now = -1 if load is None else load.prompt_tokens + load.completion_tokens
            if self._in_flight == 0 or now not in (-1, tokens):
                tokens, moved_at = now, loop.time()
            elif loop.time() - moved_at > self._options.vllm.stall_timeout_s:
                await self._restart(f"made no token for {self._options.vllm.stall_timeout_s:g} s")
                tokens, moved_at = -1, loop.time()

    async def _restart(self, why: str) -> None:
        self._up.clear()
        self._life += 1
        self._remember("lost", self._loading, why)
        server, client = self._server, self._client
        assert server is not None
        await server.stop()
        if client is not None:
            await client.close()
        if self.restarts == RESTARTS:
            self._give_up(f"the vLLM server {why}; it was started again {RESTARTS} times already")
            return
        self.restarts += 1
        self._say(f"the vLLM server {why}; starting it again ({self.restarts} of {RESTARTS} times)")
        try:
            await self._serve(self._loading)
        except ModelNotAvailableError as error:
            self._give_up(f"the vLLM server {why}, and could not be started again: {error}")

    def _give_up(self, why: str) -> None:
        self._gone = ModelLostError(f"{why}; its log: {self.log}")
        self._lost.set()
        self._up.set()

    async def _stop_serving(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
            self._watcher = None
        self._up.clear()
        self._life += 1
        if self._client is not None:
            await self._client.close()
        if self._server is not None:
            await self._server.stop()


def _window(folder: Path) -> int:
    """The context of a model in tokens, as its configuration has it."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return int(config.get("text_config", config)["max_position_embeddings"])
    return 32768


def _difference(before: Loading, after: Loading) -> str:
    old, new = before.describe(), after.describe()
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in new.items() if value != old[name])


def _does_not_fit(target: str, tries: int, text: str, failed: LoadingFailed) -> ModelNotAvailableError:
    return ModelNotAvailableError(
        f"{target} does not fit into this machine's memory ({tries} ways tried; the last: {text}); allow a quantised "
        f"variant with --allow-quantized, or set --max-model-len; {str(failed).rpartition('; ')[2]}"
    )
