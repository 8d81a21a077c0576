from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from stackbench.engine import monitor as module
from stackbench.engine.monitor import Monitor
from stackbench.engine.run_order import utc_now
from stackbench.models.null import NullModel
from stackbench.store import Writer
from stackbench.types import ServerLoad
from tests.models.test_gpus import Library


class WatchedModel(NullModel):
    backlog = 0

    def __init__(self) -> None:
        self.tokens = 0

    def load(self) -> ServerLoad:
        self.tokens += 50
        return ServerLoad(3, 7, 0.25, 10, self.tokens, 100, 40, 2, 1 << 30)


async def watch(model: NullModel, writer: Writer, rows: int) -> list[dict]:
    task = asyncio.create_task(Monitor(writer, "r", model, lambda: (0, 5), utc_now).watch())
    cursor = writer.cursor()
    try:
        while True:
            await asyncio.sleep(0.05)
            found = cursor.execute("SELECT * FROM resources ORDER BY ts, gpu").fetchall()
            if len(found) >= rows:
                columns = [column[0] for column in cursor.description]
                return [dict(zip(columns, row, strict=True)) for row in found]
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "EVERY_S", 0.1)
    writer = Writer(tmp_path / "db.duckdb")
    yield writer
    writer.close()


async def test_what_a_server_tells_is_recorded_with_each_gpu(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Library(2))
    first, second, *_ = await watch(WatchedModel(), writer, 4)
    assert (first["running"], first["waiting"], first["kv_cache"]) == (3, 7, 0.25)
    assert (first["prefix_queries"], first["prefix_hits"], first["preemptions"]) == (100, 40, 2)
    assert first["tokens_per_s"] > 0
    assert (first["gpu"], first["gpu_util"], first["vram_used"], first["vram_total"]) == (0, 0.5, 1000, 8000)
    assert (second["gpu"], second["vram_used"], second["running"]) == (1, 2000, None)


async def test_a_model_that_tells_nothing_is_counted_here(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    (row, *_) = await watch(NullModel(), writer, 1)
    assert (row["running"], row["waiting"], row["kv_cache"], row["gpu"]) == (5, 0, None, None)
    assert 0 <= row["cpu"] <= 1 and row["rss"] > 0
