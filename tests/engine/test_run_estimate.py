from __future__ import annotations

from pathlib import Path

import pytest

from stackbench.config import Home, Settings
from stackbench.control.messages import BenchmarkSkipped, EventKind, Notice
from stackbench.engine import BenchmarkPlan, RunPlan
from stackbench.engine.run_order import utc_now
from stackbench.store import Reader, Writer, open_queries
from stackbench.store.timings import BenchmarkTiming, RunTiming, read_timings, timing_payload
from stackbench.types import EventRecord, RunStatus
from tests.engines import OneRun

MODEL = "oracle"


def plan(**settings: object) -> RunPlan:
    parts = (BenchmarkPlan(name="mmlu", limit=4, optional=True), BenchmarkPlan(name="gsm8k", limit=6))
    return RunPlan(suite="two", settings=Settings(**{"model": MODEL, **settings}), benchmarks=parts)


@pytest.fixture
def heard() -> list[EventKind]:
    return []


async def run(home: Home, heard: list[EventKind], **settings: object):
    return await OneRun(home, plan(**settings), heard.append).run()


def lines(heard: list[EventKind]) -> list[str]:
    return [event.text for event in heard if isinstance(event, Notice)]


async def test_what_a_run_took_is_kept_and_the_next_is_estimated_from_it(
    tmp_path: Path, data_dir: Path, heard: list[EventKind]
) -> None:
    home = Home(tmp_path, data_dir)
    await run(home, heard)
    assert any("no earlier run of it is known" in line for line in lines(heard))
    assert any(line.startswith("took ") and "the next run" in line for line in lines(heard))
    heard.clear()
    await run(home, heard)
    assert any("(from earlier runs)" in line for line in lines(heard))
    queries = open_queries(home.database, home.socket)
    first, second = read_timings(queries, MODEL)
    queries.close()
    assert {name: one.attempts for name, one in first.benchmarks.items()} == {"mmlu": 4, "gsm8k": 6}
    assert 0 < second.setup_s < second.seconds


async def test_what_has_no_room_is_cut_and_reported(tmp_path: Path, data_dir: Path, heard: list[EventKind]) -> None:
    home = Home(tmp_path, data_dir)
    first = await run(home, heard)
    slow = {"mmlu": BenchmarkTiming(4, 9000.0, 9000.0), "gsm8k": BenchmarkTiming(6, 1.0, 1.0)}
    writer = Writer(home.database)
    payload = timing_payload(RunTiming(1.0, 0.0, 9000.0, 64, slow), None)
    for number in range(1, 4):
        writer.event(first.run_id, EventRecord("", "", 0, None, 10**6 + number, utc_now(), "timing", payload))
    writer.close()
    heard.clear()
    outcome = await run(home, heard, max_hours=1.0)
    assert outcome.status is RunStatus.COMPLETED
    assert [result.benchmark for result in outcome.results] == ["gsm8k"]
    assert "--max-hours 1 has no room for it (about 2.5 h)" in outcome.skipped["mmlu"]
    assert [event.benchmark for event in heard if isinstance(event, BenchmarkSkipped)] == ["mmlu"]
    queries = open_queries(home.database, home.socket)
    assert "mmlu" in Reader(queries).skipped(outcome.run_id)
    queries.close()


async def test_an_interrupted_run_is_no_measure(tmp_path: Path, data_dir: Path, heard: list[EventKind]) -> None:
    home = Home(tmp_path, data_dir)
    interrupted = OneRun(home, plan(), lambda event: interrupted.stop() if event.kind == "attempt_finished" else None)
    assert (await interrupted.run()).status is RunStatus.INTERRUPTED
    queries = open_queries(home.database, home.socket)
    assert read_timings(queries, MODEL) == []
    queries.close()
