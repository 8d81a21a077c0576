"""A model on a managed vLLM server. Requests that a crash interrupts are repeated after the restart."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stackbench.errors import GenerationError, ModelLostError
from stackbench.models.chat_template import own_templates, read_template, template_sha256
from stackbench.models.generation_config import describe_generation_config, sampling_defaults
from stackbench.models.gpus import GpuReader
from stackbench.models.hardware import list_gpus
from stackbench.models.loaded_files import hash_loaded
from stackbench.models.openai import OpenAIModel
from stackbench.models.openai.faults import RefusedError
from stackbench.models.openai.retrying import Retrying
from stackbench.models.options import ModelOptions
from stackbench.models.pull import notice_changes, origin
from stackbench.models.text_counting import counter_of_file, tokenizer_file
from stackbench.models.vllm.command import Loading
from stackbench.models.vllm.loader import Loader
from stackbench.models.vllm.server import VllmServer
from stackbench.types import Generation, Request, ServerLoad, TokenCount, Variant

__all__ = ["VllmModel"]

RESTARTS = 3
WATCH_EVERY_S = 1.0
SEEN_DEAD_WITHIN_S = 5.0
LONGEST_REQUEST_S = 7 * 24 * 3600.0  # a server that hangs is found by its silence, not by one request's age


class NotServedError(GenerationError):
    """No server runs in the way last asked for: another try would end alike."""


class VllmModel:
    """Implements `Model`, `Watched`, `Reloadable` and `Tokenizing`."""

    has_speed = True

    def __init__(self, name: str, target: str, options: ModelOptions, log_name: str = "vllm.log") -> None:
        self.name = name
        self._log_name = log_name
        self.chat = True
        self.plain_prompts = True
        self.scores_choices = True
        self.native_tools = True
        self.window: int | None = None
        self.concurrency = options.max_num_seqs or 64
        self.backlog = max(2, self.concurrency // 4)
        self.gpus = 0
        self.restarts = 0
        self.sampling_defaults: Mapping[str, float] = {}
        self.chat_templates: Sequence[str] = ()
        self._target = target
        self._options = options
        self._retrying = Retrying(options.retries)
        self._say: Callable[[str], None] = lambda line: None
        self._loading = Loading(Path())
        self._variant = Variant()
        self._loader: Loader | None = None
        self._server: VllmServer | None = None
        self._client: OpenAIModel | None = None
        self._life = 0
        """Counts the servers; a request that failed on an earlier one is asked again."""
        self._up = asyncio.Event()
        self._away = asyncio.Event()
        """Set while it does not answer: the opposite of `_up`, for those who would rather ask another server."""
        self._changed = asyncio.Event()
        """Set, and replaced, at each change of these two."""
        self._gone: ModelLostError | None = None
        self._lost = asyncio.Event()
        self._down = ""
        """Why it could not be served in the way last asked for."""
        self._watcher: asyncio.Task[None] | None = None
        self._in_flight = 0
        self._last_load: ServerLoad | None = None
        self._about: dict[str, Any] = {}

    @property
    def url(self) -> str:
        """Where the server answers, as an OpenAI-compatible base URL."""
        assert self._server is not None, "start() was not called"
        return f"{self._server.url}/v1"

    @property
    def log(self) -> Path:
        return (self._options.logs or self._options.home) / self._log_name

    @property
    def loading(self) -> Loading:
        """How the weights were loaded."""
        return self._loading

    @property
    def ready(self) -> bool:
        """Whether its server answers, as far as is known."""
        return self._up.is_set() and self._gone is None and not self._down

    async def wait_away(self) -> None:
        """Returns when its server does not answer any more, or is gone."""
        await self._away.wait()

    async def wait_change(self) -> None:
        """Returns when its server comes or goes."""
        await self._changed.wait()

    async def start(self, say: Callable[[str], None]) -> None:
        self._say = say
        if await asyncio.to_thread(list_gpus):
            self.gpus = self._options.tensor_parallel_size or 1
        self._loader = Loader(self._target, self._options, self.log, self.gpus, self._say)
        await self._serve(await self._loader.first(Variant()))
        self._watcher = asyncio.create_task(self._watch())

    async def generate(self, requests: Sequence[Request]) -> list[Generation]:
        if len(requests) == 1:
            return [await self._ask(requests[0])]
        return list(await asyncio.gather(*(self._ask(request) for request in requests)))

    async def count_tokens(self, request: Request) -> TokenCount:
        await self._up.wait()
        if self._gone is not None:
            raise self._gone
        if self._client is None:
            raise GenerationError(self._down)
        return await self._client.count_tokens(request)

    def text_counter(self) -> Callable[[Sequence[str]], Sequence[int]] | None:
        file = tokenizer_file(self._loading.folder)
        return None if file is None else counter_of_file(file)

    def load(self) -> ServerLoad | None:
        return self._last_load and replace(self._last_load, restarts=self.restarts)

    async def wait_lost(self) -> ModelLostError:
        """Why the server is gone for good, once it is."""
        await self._lost.wait()
        assert self._gone is not None
        return self._gone

    async def reload(self, variant: Variant) -> None:
        assert self._loader is not None, "start() was not called"
        if variant == self._variant and not self._down and self._server is not None and not self._server.ended:
            return
        wanted = await self._loader.first(variant)
        await self._stop_serving()
        self._variant = variant
        try:
            await self._serve(wanted, exact=variant != Variant())  # what is compared must be what it is called
        except Exception as error:  # whatever it was: who asks from now on must not wait for ever
            self._down = str(error) or repr(error)
            self._up.set()
            raise
        self._watcher = asyncio.create_task(self._watch())

    def describe(self) -> Mapping[str, Any]:
        client = dict(self._client.describe()) if self._client else {}
        return self._about | {
            "kind": "vllm",
            "target": self._target,
            "loading": self._loading.describe(),
            "history": list(self._loader.history) if self._loader else [],
            "served": client.get("served", {}),
            "capabilities": client.get("capabilities", {}),
        }

    async def close(self) -> None:
        await self._stop_serving()

    # -- one request

    async def _ask(self, request: Request) -> Generation:
        async def ask() -> Generation:
            return await self._answer(request)

        retries = 0 if request.no_retry else None
        return await self._retrying.call(ask, _may_pass, retries=retries, on_retry=request.on_retry)

    async def _answer(self, request: Request) -> Generation:
        """One try; what a server that died did not answer is asked of the next one within the same try."""
        while True:
            await self._up.wait()
            if self._gone is not None:
                raise self._gone
            if self._down:
                raise NotServedError(self._down)
            assert self._client is not None
            life = self._life
            self._in_flight += 1
            try:
                return (await self._client.generate([request]))[0]
            except RefusedError:
                raise
            except GenerationError:
                if not await self._died(life):
                    raise
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

    # -- serving

    async def _serve(self, loading: Loading, *, exact: bool = False) -> None:
        """Raises ModelNotAvailableError when it cannot be served."""
        assert self._loader is not None
        self.sampling_defaults = sampling_defaults(self._options, loading.folder, self._say)
        given_up = threading.Event()
        hashing = asyncio.create_task(
            asyncio.to_thread(hash_loaded, loading.folder, self._options.home, given_up.is_set)
        )
        asked = loading.folder
        try:
            server, loading = await self._loader.load(loading, exact=exact)
        except BaseException:
            given_up.set()
            await asyncio.gather(hashing, return_exceptions=True)
            raise
        try:
            client = await self._connect(server)
            hashes = await hashing
            if loading.folder != asked:  # a quantised variant that fits
                self.sampling_defaults = sampling_defaults(self._options, loading.folder, self._say)
                hashes = await asyncio.to_thread(hash_loaded, loading.folder, self._options.home)
        except BaseException:
            given_up.set()
            await asyncio.gather(hashing, return_exceptions=True)
            await server.stop()
            raise
        first_life = self._server is None
        self._server, self._client, self._loading, self._last_load = server, client, loading, None
        self.chat, self.plain_prompts = client.chat, client.plain_prompts
        self.scores_choices = client.scores_choices
        self.native_tools, self.window = client.native_tools, client.window
        self.chat_templates = self._templates(loading.folder)
        usual = self._variant == Variant() or not self._about
        self._about = {
            "vllm": await server.version(),
            # Of the model that the run is of; a variant that was measured beside it stands in the history.
            **(hashes.describe() if usual else {name: self._about[name] for name in ("files", "sha256")}),
            "origin": origin(loading.folder),
            "chat_template": template_sha256(self.chat_templates[0]) if self.chat_templates else None,
            **describe_generation_config(self._options, loading.folder),
            "device": f"{self.gpus} GPU" if self.gpus else "cpu",
        }
        if first_life:
            notice_changes(loading.folder, hashes, self._say)
        self._down = ""
        self._came()

    def _came(self) -> None:
        self._up.set()
        self._away.clear()
        self._tell()

    def _went(self) -> None:
        self._up.clear()
        self._away.set()
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _templates(self, folder: Path) -> Sequence[str]:
        """The template that takes the place of the model's own, else those among its files."""
        named = self._options.chat_template
        return own_templates(folder) if named is None else (read_template(named),)

    async def _connect(self, server: VllmServer) -> OpenAIModel:
        options = self._options.model_copy(
            update={
                "retries": 0,
                "request_timeout_s": LONGEST_REQUEST_S,
                "api_key_env": "",
                "headers": (),
                "explicit_sampling": True,
            }
        )
        client = OpenAIModel(self.name, self._target, f"{server.url}/v1", options)
        await client.start(lambda line: None)
        return client

    # -- watching

    async def _watch(self) -> None:
        """Watches until the server is gone for good.

        An error of the watching itself ends the model: nobody else would see that the server ends, and all who wait
        would wait for ever.
        """
        try:
            await self._keep_up()
        except Exception as error:
            self._give_up(f"the vLLM server can no longer be watched: {error!r}")
            if self._server is not None:
                await self._server.stop()  # so that what it has not answered fails
            if self._client is not None:
                await self._client.close()

    async def _keep_up(self) -> None:
        """Reads the load each second; a server that ended, or makes no token though asked to, is started again."""
        loop = asyncio.get_running_loop()
        gpus = await asyncio.to_thread(GpuReader)
        tokens, moved_at = -1, loop.time()
        while self._gone is None:
            await asyncio.sleep(WATCH_EVERY_S)
            why = ""
            server = self._server
            assert server is not None
            if server.ended:
                why = await server.why_ended()
            else:
                now = await self._read_load(server, gpus)
                if self._in_flight == 0 or now not in (-1, tokens):
                    tokens, moved_at = now, loop.time()
                elif loop.time() - moved_at > self._options.stall_timeout_s:
                    why = f"made no token for {self._options.stall_timeout_s:g} s"
            if why:
                await self._restart(why)
                tokens, moved_at = -1, loop.time()

    async def _read_load(self, server: VllmServer, gpus: GpuReader) -> int:
        """Keeps what the server tells; returns the tokens it has read and made, -1 where it does not answer."""
        load = await server.load()
        if load is None:
            return -1
        used = sum(gpu.vram_used for gpu in await asyncio.to_thread(gpus.read)) if self.gpus else 0
        self._last_load = replace(load, vram_bytes=used)
        return load.prompt_tokens + load.completion_tokens

    async def _restart(self, why: str) -> None:
        self._went()
        self._life += 1
        assert self._loader is not None
        self._loader.remember("lost", self._loading, why)
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
            await self._serve(self._loading, exact=True)
        except Exception as error:  # nobody else would see it, and all who wait would wait for ever
            self._give_up(f"the vLLM server {why}, and could not be started again: {error}")

    def _give_up(self, why: str) -> None:
        self._gone = ModelLostError(f"{why}; its log: {self.log}")
        self._lost.set()
        self._up.set()
        self._away.set()
        self._tell()

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


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, GenerationError) and not isinstance(error, RefusedError | NotServedError)
