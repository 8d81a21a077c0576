from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from stackbench.config import Home, Settings
from stackbench.control.messages import Command, EventKind, Notice
from stackbench.engine import EngineService, plan_benchmarks, service
from stackbench.engine.run_waits import RunWaits
from stackbench.models.oracle import OracleModel
from stackbench.types import RunStatus
from tests.waiting import until


def test_waits_are_told_by_name_the_longest_first() -> None:
    now = [0.0]
    waits = RunWaits(lambda: now[0])
    assert waits.words == ""
    with waits.waiting("the model to be ready"):
        now[0] = 60.0
        with waits.waiting("its containers"):
            now[0] = 180.0
            assert waits.words == "the model to be ready, for 3 min; its containers, for 2 min"
        assert waits.words == "the model to be ready, for 3 min"
    assert waits.words == ""


async def test_a_model_that_does_not_start_is_named_by_why_and_in_a_notice(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def start(self: object, say: Callable[[str], None]) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(OracleModel, "start", start)
    said: list[str] = []

    def listen(run_id: str, event: EventKind) -> None:
        if isinstance(event, Notice):
            said.append(event.text)

    async with EngineService(Home(tmp_path, data_dir), listener=listen) as service:
        run = service.submit(plan_benchmarks(["gsm8k"], Settings(model="oracle", limit=1, stalled_after_s=0.3)))
        await until(lambda: any("no progress for" in line for line in said))
        line = next(line for line in said if "no progress for" in line)
        assert "the run waits for the model to be ready, for" in line
        why = await service.command(Command(id=1, verb="why", who="test"))
        assert why["waiting_for"].startswith("the model to be ready, for") and why["attempts"] == []
        run.stop()
        assert (await run.outcome()).status is RunStatus.INTERRUPTED


async def test_a_run_waits_in_the_queue_until_what_it_needs_is_loaded(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, load = asyncio.Event(), service._run_execution

    async def slowly() -> object:
        await loaded.wait()
        return await load()

    monkeypatch.setattr(service, "_run_execution", slowly)
    async with EngineService(Home(tmp_path, data_dir)) as engine:
        run = engine.submit(plan_benchmarks(["gsm8k"], Settings(model="oracle", limit=1)))
        await asyncio.sleep(0.05)
        (told,) = await engine.command(Command(id=1, verb="runs"))
        assert told["state"] == "queued" and engine.live is None
        loaded.set()
        assert (await run.outcome()).status is RunStatus.COMPLETED
