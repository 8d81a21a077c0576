"""Reads the machine's load once a second into `resources`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

import psutil

from stackbench.store import Writer
from stackbench.store.writer import ResourceRow

__all__ = ["Monitor"]

EVERY_S = 1.0


class Monitor:
    """`counts` gives tokens so far and attempts under way."""

    def __init__(
        self, writer: Writer, run_id: str, counts: Callable[[], tuple[int, int]], now: Callable[[], datetime]
    ) -> None:
        self._writer = writer
        self._run_id = run_id
        self._counts = counts
        self._now = now

    async def watch(self) -> None:
        """Runs until cancelled."""
        process = psutil.Process()
        before, _ = self._counts()
        while True:
            await asyncio.sleep(EVERY_S)
            tokens, running = self._counts()
            row = ResourceRow(
                ts=self._now(),
                cpu=psutil.cpu_percent() / 100,
                rss=process.memory_info().rss,
                tokens_per_s=(tokens - before) / EVERY_S,
                running=running,
                waiting=0,
            )
            self._writer.resources(self._run_id, row)
            before = tokens
