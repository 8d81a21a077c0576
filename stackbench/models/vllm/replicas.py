"""One model on several vLLM servers, one for each GPU or group of GPUs; a request goes to the least loaded."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stackbench.errors import ModelLostError, ModelNotAvailableError
from stackbench.models.hardware import list_gpus
from stackbench.models.options import ModelOptions
from stackbench.models.vllm.model import VllmModel
from stackbench.types import Generation, Request, ServerLoad, TokenCount, Variant

__all__ = ["VllmReplicas", "gpu_groups"]

OWN_REPLICAS = re.compile(r"--(data-parallel|dp)")
LOOK_AGAIN_S = 1.0


def gpu_groups(options: ModelOptions) -> list[str]:
    """The GPUs of each server, as `CUDA_VISIBLE_DEVICES` takes them: groups of `--tensor-parallel-size`.

    Empty without GPUs, and where vLLM is told to make its own replicas. Runs nvidia-smi; blocks.
    """
    if any(OWN_REPLICAS.match(argument) for argument in options.vllm_args):
        return []
    found = len(list_gpus())
    named = options.gpus if options.gpus is not None else os.environ.get("CUDA_VISIBLE_DEVICES")  # it may name UUIDs
    if not found or named == "":
        return []
    numbers = named.split(",") if named else [str(number) for number in range(found)]
    size = options.tensor_parallel_size or 1
    return [",".join(numbers[first : first + size]) for first in range(0, len(numbers) - size + 1, size)]


@dataclass(slots=True)
class _Replica:
    number: int
    gpus: str
    model: VllmModel
    in_flight: int = 0
    lost: str = ""
    """Why it was taken out."""

    @property
    def name(self) -> str:
        return f"vLLM server {self.number} (GPU {self.gpus})"


class VllmReplicas:
    """Implements `Model`, `Watched`, `Reloadable`, `Tokenizing`, `Templated`, `Preset` and `Pooled`.

    A server that dies is started again beside the others, which take over what it had not answered; one that cannot be
    started any more is taken out. The run fails when none is left.
    """

    has_speed = True

    def __init__(self, name: str, target: str, options: ModelOptions, groups: Sequence[str]) -> None:
        self.name = name
        self._options = options
        self._replicas = [
            _Replica(number, gpus, _model(name, target, options, number, gpus)) for number, gpus in enumerate(groups)
        ]
        self.servers = len(self._replicas)
        self.concurrency = sum(one.model.concurrency for one in self._replicas)
        self.backlog = sum(one.model.backlog for one in self._replicas)
        self.gpus = 0
        """Those of the servers that have work by now, of all before there is any."""
        self._first = self._replicas[0].model
        self._say: Callable[[str], None] = lambda line: None
        self._assigned: dict[str, Sequence[int]] = {}
        self._variant = Variant()
        self._changed = asyncio.Event()
        """Set, and replaced, when a server comes or goes."""
        self._watchers: list[asyncio.Task[None]] = []
        self._describe_first()

    # -- what the first server tells of all

    def _describe_first(self) -> None:
        first = self._first
        self.chat, self.plain_prompts, self.window = first.chat, first.plain_prompts, first.window
        self.scores_choices, self.native_tools = first.scores_choices, first.native_tools
        self.sampling_defaults, self.chat_templates = first.sampling_defaults, first.chat_templates

    def text_counter(self) -> Callable[[Sequence[str]], Sequence[int]] | None:
        return self._first.text_counter()

    # -- what all have together

    def load(self) -> ServerLoad | None:
        found = [load for one in self._alive() if (load := one.model.load()) is not None]
        if not found:
            return None
        caches = [load.kv_cache for load in found if load.kv_cache is not None]
        return ServerLoad(
            running=sum(load.running for load in found),
            waiting=sum(load.waiting for load in found),
            kv_cache=sum(caches) / len(caches) if caches else None,
            prompt_tokens=sum(load.prompt_tokens for load in found),
            completion_tokens=sum(load.completion_tokens for load in found),
            prefix_queries=sum(load.prefix_queries for load in found),
            prefix_hits=sum(load.prefix_hits for load in found),
            preemptions=sum(load.preemptions for load in found),
            memory_bytes=sum(load.memory_bytes for load in found),
            vram_bytes=max(load.vram_bytes for load in found),  # each tells that of all GPUs
            restarts=sum(load.restarts for load in found),
        )

    def describe(self) -> Mapping[str, Any]:
        servers = [
            {
                "gpus": one.gpus,
                "restarts": one.model.restarts,
                "history": list(one.model.describe().get("history", [])),
                **({"taken_out": one.lost} if one.lost else {}),
            }
            for one in self._replicas
        ]
        return {**self._first.describe(), "servers": servers}

    def assign(self, servers: Mapping[str, Sequence[int]]) -> None:
        self._assigned = dict(servers)
        self._count_gpus()

    # -- life

    async def start(self, say: Callable[[str], None]) -> None:
        self._say = say
        say(
            f"starting {self.servers} vLLM servers, one for each of GPU {', '.join(one.gpus for one in self._replicas)}"
        )
        ended = await asyncio.gather(*(self._start(one) for one in self._replicas), return_exceptions=True)
        for one, error in zip(self._replicas, ended, strict=True):
            if error is not None:
                if not isinstance(error, ModelNotAvailableError):
                    await self.close()
                    raise error
                one.lost = str(error)
        alive = self._alive()
        if not alive:
            raise ModelNotAvailableError(self._replicas[0].lost)
        self._first = alive[0].model
        for one in alive[1:]:
            if one.model.loading != self._first.loading:
                await one.model.close()
                one.lost = f"it could only be loaded otherwise than server {alive[0].number}: {one.model.loading}"
        for one in self._replicas:
            if one.lost:
                say(f"{one.name} is left out: {one.lost}")
        self._describe_first()
        self._count_gpus()
        self._watchers = [asyncio.create_task(self._watch(one)) for one in self._alive()]

    async def _start(self, one: _Replica) -> None:
        await one.model.start(lambda line: self._say(f"{one.name}: {line}"))

    async def reload(self, variant: Variant) -> None:
        if variant == self._variant:
            return
        at_work = self._at_work()
        await asyncio.gather(*(one.model.reload(variant) for one in at_work))
        self._variant = variant
        self._describe_first()

    async def close(self) -> None:
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        await asyncio.gather(*(one.model.close() for one in self._replicas), return_exceptions=True)

    async def _watch(self, one: _Replica) -> None:
        """Takes a server out when it is gone for good, and tells who waits when it comes back."""
        gone = asyncio.create_task(one.model.wait_lost())
        try:
            while not gone.done():
                change = asyncio.create_task(one.model.wait_change())
                await asyncio.wait({gone, change}, return_when=asyncio.FIRST_COMPLETED)
                change.cancel()
                self._tell()
            one.lost = str(gone.result())
            self._count_gpus()
            left = len(self._alive())
            rest = f"its work goes to the {left} left" if left else "none is left"
            self._say(f"{one.name} is taken out: {one.lost}; {rest}")
            self._tell()
        finally:
            gone.cancel()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    # -- requests

    async def generate(self, requests: Sequence[Request]) -> list[Generation]:
        if len(requests) == 1:
            return [await self._ask(requests[0])]
        return list(await asyncio.gather(*(self._ask(request) for request in requests)))

    async def count_tokens(self, request: Request) -> TokenCount:
        return await (await self._pick(request)).model.count_tokens(request)

    async def _ask(self, request: Request) -> Generation:
        while True:
            one = await self._pick(request)
            one.in_flight += 1
            asking = asyncio.create_task(one.model.generate([request]))
            away = asyncio.create_task(one.model.wait_away())
            try:
                await asyncio.wait({asking, away}, return_when=asyncio.FIRST_COMPLETED)
                if asking.done():
                    try:
                        return asking.result()[0]
                    except ModelLostError:
                        if not self._others(one):
                            raise
                # it went away with the request: another one answers it
            finally:
                one.in_flight -= 1
                for task in (asking, away):
                    task.cancel()
                await asyncio.gather(asking, away, return_exceptions=True)

    async def _pick(self, request: Request) -> _Replica:
        """The server with the fewest requests among those that answer, of its benchmark's where one of them does.

        While none answers it waits for one that is being started, no longer than that takes at most.
        """
        benchmark = request.key.benchmark if request.key is not None else ""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._options.load_timeout_s
        while True:
            alive = self._alive()
            if not alive:
                raise ModelLostError("; ".join(f"{one.name}: {one.lost}" for one in self._replicas))
            ready = [one for one in alive if one.model.ready]
            assigned = [one for one in ready if one.number in self._assigned.get(benchmark, range(self.servers))]
            if ready:
                return min(assigned or ready, key=lambda one: one.in_flight)
            if loop.time() > deadline:
                raise ModelLostError(f"no vLLM server answered for {self._options.load_timeout_s:g} s (--load-timeout)")
            try:
                async with asyncio.timeout(LOOK_AGAIN_S):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _count_gpus(self) -> None:
        self.gpus = sum(len(one.gpus.split(",")) for one in self._at_work())

    def _alive(self) -> list[_Replica]:
        return [one for one in self._replicas if not one.lost]

    def _at_work(self) -> list[_Replica]:
        numbers = {number for servers in self._assigned.values() for number in servers}
        return [one for one in self._alive() if not numbers or one.number in numbers] or self._alive()

    def _others(self, lost: _Replica) -> bool:
        return any(one is not lost for one in self._alive())


def _model(name: str, target: str, options: ModelOptions, number: int, gpus: str) -> VllmModel:
    return VllmModel(name, target, options.model_copy(update={"gpus": gpus}), log_name=f"vllm-{number}.log")
