"""Reads the load of machine, GPUs and model server once a second into `resources`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime

import psutil

from stackbench.control.messages import EventKind, Gauges
from stackbench.models import Model, Reloadable, Watched
from stackbench.models.gpus import GpuReader
from stackbench.store import Writer
from stackbench.store.writer import ResourceRow
from stackbench.types import ServerLoad

__all__ = ["Monitor"]

EVERY_S = 1.0


class Monitor:
    """`counts` gives tokens so far and attempts under way, for models that do not tell theirs."""

    def __init__(
        self,
        writer: Writer,
        run_id: str,
        model: Model,
        counts: Callable[[], tuple[int, int]],
        now: Callable[[], datetime],
        publish: Callable[[EventKind], None] = lambda what: None,
    ) -> None:
        self._writer = writer
        self._run_id = run_id
        self._model = model
        self._counts = counts
        self._now = now
        self._publish = publish
        self.latest: dict[str, float | None] = {}
        """The newest figures, by the columns of the table `resources`."""

    async def watch(self) -> None:
        """Runs until cancelled. One row a second, or one for each GPU with the machine's figures on the first."""
        process = psutil.Process()
        gpus = await asyncio.to_thread(GpuReader)
        before = self._tokens(self._load())
        while True:
            await asyncio.sleep(EVERY_S)
            load = self._load()
            tokens = self._tokens(load)
            _, running = self._counts()
            # A server that was started again counts from nothing, and tells nothing while it loads.
            made = 0 if tokens is None or before is None else max(0, tokens - before)
            before = tokens
            readings = await asyncio.to_thread(gpus.read)
            first = readings[0] if readings else None
            ts = self._now()
            self._record(
                ResourceRow(
                    ts=ts,
                    cpu=psutil.cpu_percent() / 100,
                    rss=process.memory_info().rss + self._beside(load),
                    tokens_per_s=made / EVERY_S,
                    running=load.running if load else running,
                    waiting=load.waiting if load else 0,
                    kv_cache=load.kv_cache if load else None,
                    prefix_queries=load.prefix_queries if load else None,
                    prefix_hits=load.prefix_hits if load else None,
                    preemptions=load.preemptions if load else None,
                    gpu=first.index if first else None,
                    gpu_util=first.util if first else None,
                    vram_used=first.vram_used if first else None,
                    vram_total=first.vram_total if first else None,
                ),
                tokens,
            )
            for reading in readings[1:]:
                self._writer.resources(
                    self._run_id,
                    ResourceRow(
                        ts=ts,
                        gpu=reading.index,
                        gpu_util=reading.util,
                        vram_used=reading.vram_used,
                        vram_total=reading.vram_total,
                    ),
                )

    def _record(self, row: ResourceRow, tokens: int | None) -> None:
        self._writer.resources(self._run_id, row)
        values: dict[str, float | None] = {name: value for name, value in asdict(row).items() if name != "ts"}
        values["completion_tokens"] = tokens
        self.latest = values
        self._publish(Gauges(values=values))

    def _load(self) -> ServerLoad | None:
        return self._model.load() if isinstance(self._model, Watched) else None

    def _beside(self, load: ServerLoad | None) -> int:
        """Memory of the processes that hold the model, where they are not this one."""
        return load.memory_bytes if load is not None and isinstance(self._model, Reloadable) else 0

    def _tokens(self, load: ServerLoad | None) -> int | None:
        """Completion tokens so far: of the server where it tells them, else of answers that have ended."""
        if isinstance(self._model, Watched):
            return load.completion_tokens if load else None
        return self._counts()[0]
