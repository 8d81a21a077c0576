from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stackbench.config import Home, Settings
from stackbench.control.messages import AttemptFinished, EventKind, Notice
from stackbench.engine import memory_pressure as module
from stackbench.engine import plan_benchmarks
from stackbench.engine.controls import RunControls
from stackbench.engine.memory_pressure import MemoryPressure, free_share
from stackbench.store import open_queries
from stackbench.types import RunStatus
from tests.engines import OneRun


class Watched:
    """A watch over controls whose clock and memory are set by hand."""

    def __init__(self, concurrency: int = 16) -> None:
        self.now = 100.0
        self.lines: list[str] = []
        self.events: list[Mapping[str, Any]] = []
        self.woken = 0
        self.containers: list[int] = []
        self.controls = RunControls(concurrency=concurrency)
        self.controls.resize_sandboxes = self.containers.append
        self.watch = MemoryPressure(self.controls, 4, self._wake, self._tell, clock=lambda: self.now)

    def look(self, free: float, *, times: int = 1, every_s: float = 1.0) -> None:
        for _ in range(times):
            self.watch.check(free)
            self.now += every_s

    def _wake(self) -> None:
        self.woken += 1

    def _tell(self, line: str, payload: Mapping[str, Any]) -> None:
        self.lines.append(line)
        self.events.append(payload)


async def test_concurrency_is_halved_while_memory_is_short_and_raised_when_it_is_there_again() -> None:
    watched = Watched()
    watched.look(0.5, times=100)
    assert watched.controls.slots.size == 16 and not watched.lines
    watched.look(0.04, times=10)
    assert (watched.controls.slots.size, watched.containers) == (8, [2])
    assert watched.lines == ["memory is short (4% free): concurrency 16 -> 8, containers 4 -> 2"]
    watched.look(0.04, times=10)
    assert watched.controls.slots.size == 4
    watched.look(0.10, times=300)
    assert watched.controls.slots.size == 4, "neither short nor plenty"
    watched.look(0.40, times=62)
    assert (watched.controls.slots.size, watched.woken) == (8, 1)
    watched.look(0.40, times=200)
    assert (watched.controls.slots.size, watched.controls.sandboxes) == (16, 4)
    assert [event["what"] for event in watched.events] == ["lowered", "lowered", "raised", "raised"]
    watched.look(0.40, times=200)
    assert len(watched.events) == 4


async def test_there_is_an_end_to_lowering_and_it_is_told_once() -> None:
    watched = Watched(concurrency=2)
    watched.look(0.01, times=200)
    assert (watched.controls.slots.size, watched.controls.sandboxes) == (1, 1)
    assert [event["what"] for event in watched.events] == ["lowered", "lowered", "lowest"]


async def test_what_an_operator_sets_meanwhile_is_kept() -> None:
    watched = Watched()
    watched.look(0.04)
    watched.controls.slots.resize(12)
    watched.look(0.40, times=300)
    assert watched.controls.slots.size == 12
    watched.look(0.04)
    assert watched.controls.slots.size == 6
    watched.look(0.40, times=300)
    assert watched.controls.slots.size == 12


async def test_a_run_goes_on_with_less_and_records_it(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY_S", 0.01)
    monkeypatch.setattr(module, "free_share", lambda: 0.02)
    said: list[str] = []
    lowered = asyncio.Event()

    async def attempt(self: object, task: Any, context: Any) -> Any:
        await lowered.wait()
        return await original(self, task, context)

    from stackbench.benchmarks.gsm8k import Gsm8k

    original = Gsm8k.attempt
    monkeypatch.setattr(Gsm8k, "attempt", attempt)

    def listen(event: EventKind) -> None:
        if isinstance(event, Notice) and event.text.startswith("memory is short"):
            said.append(event.text)
            lowered.set()
        assert not isinstance(event, AttemptFinished) or said

    home = Home(tmp_path, data_dir)
    outcome = await OneRun(
        home, plan_benchmarks(["gsm8k"], Settings(model="oracle", limit=12, concurrency=8)), listen
    ).run()
    assert outcome.status is RunStatus.COMPLETED and "concurrency 8 -> 4" in said[0]
    queries = open_queries(home.database, home.socket)
    rows = queries.rows("SELECT payload FROM events WHERE run_id = ? AND kind = 'memory_pressure'", [outcome.run_id])
    queries.close()
    assert rows


def test_a_control_groups_limit_counts_where_it_is_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit, used = tmp_path / "memory.max", tmp_path / "memory.current"
    monkeypatch.setattr(module, "LIMITS", ((limit, used, "inactive_file"),))
    assert 0 < free_share() <= 1
    limit.write_text("1000000\n")
    used.write_text("980000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 30000\n")
    assert free_share() == pytest.approx(0.05)
    whole = limit.write_text("max\n") and free_share()
    assert whole > 0
