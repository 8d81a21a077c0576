"""A model in this process through Transformers: the accurate sampler, on the GPU where there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stackbench.models.decoding_thread import DecodingThread
from stackbench.models.gpus import GpuReader
from stackbench.models.hf_loading import load_hf
from stackbench.models.options import ModelOptions
from stackbench.models.text_counting import counter_of_file, tokenizer_file
from stackbench.types import Generation, Request, ServerLoad, TokenCount

if TYPE_CHECKING:
    from stackbench.models.hf_loading import LoadedModel

__all__ = ["HFModel"]


class HFModel:
    """Implements `Model`, `Watched`, `Preset`, `Templated`, `Tokenizing`; decodes all callers' requests together."""

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
        self.chat_templates: Sequence[str] = ()
        self._target = target
        self._options = options
        self._thread = DecodingThread(name, target, self._load)
        self._gpu_reader: GpuReader | None = None
        self._about: dict[str, Any] = {"kind": "hf"}

    async def start(self, say: Callable[[str], None]) -> None:
        loaded = await self._thread.start(say)
        template = loaded.reader.template
        self.chat = template is not None
        self.native_tools = template is not None and template.takes_tools
        self.chat_templates = () if template is None else tuple(dict.fromkeys((template.text, template.tools_text)))
        self.gpus, self.window = loaded.gpus, loaded.reader.window
        self.concurrency = 2 * loaded.decoder.max_batch
        self.sampling_defaults = loaded.sampling_defaults
        self._about |= loaded.about

    async def generate(self, requests: Sequence[Request]) -> list[Generation]:
        return await self._thread.generate(requests)

    async def count_tokens(self, request: Request) -> TokenCount:
        assert self._thread.loaded is not None, "start() was not called"
        return TokenCount(await asyncio.to_thread(self._thread.loaded.reader.count, request), exact=True)

    def text_counter(self) -> Callable[[Sequence[str]], Sequence[int]] | None:
        assert self._thread.loaded is not None, "start() was not called"
        file = tokenizer_file(self._thread.loaded.folder)
        return None if file is None else counter_of_file(file)

    def load(self) -> ServerLoad | None:
        loaded = self._thread.loaded
        if loaded is None:
            return None
        import psutil

        decoder = loaded.decoder
        gpus = self._gpu_reader.read() if self._gpu_reader else []
        return ServerLoad(
            running=decoder.live,
            waiting=self._thread.waiting,
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
        await self._thread.close()

    def _load(self, stopping: Callable[[], bool], say: Callable[[str], None]) -> LoadedModel:
        """On the decoding thread."""
        loaded = load_hf(self._target, self._options, stopping, say)
        if loaded.gpus:
            self._gpu_reader = GpuReader()
        return loaded
