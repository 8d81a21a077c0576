"""A run on two model servers, of which one dies in the middle of it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from stackbench.config import Home, Settings
from stackbench.control.messages import AttemptFinished, EventKind, Notice
from stackbench.engine import plan_benchmarks
from stackbench.models.vllm import model as module
from stackbench.store import open_queries
from stackbench.types import RunStatus
from tests.engines import OneRun
from tests.models.test_vllm import Bench
from tests.models.test_vllm_replicas import break_gpu, gpus, server_processes

ATTEMPTS = 80
COUNTS = """
SELECT count(*), count(DISTINCT (benchmark, task_id, attempt, seed)), count(*) FILTER (status = 'completed')
FROM attempts WHERE run_id = ?
"""


@pytest.mark.parametrize("broken", [False, True])
async def test_work_of_a_server_that_dies_is_done_by_the_other(
    broken: bool, tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WATCH_EVERY_S", 0.1)
    gpus(tmp_path, monkeypatch, 2)
    bench = Bench(tmp_path, monkeypatch)
    bench.behave(slow=0.05)
    said: list[str] = []
    ended: list[str] = []

    def listen(event: EventKind) -> None:
        if isinstance(event, Notice):
            said.append(event.text)
        elif isinstance(event, AttemptFinished):
            ended.append(event.attempt.task_id)
            if len(ended) == 10:
                if broken:
                    break_gpu(bench, 0)
                os.kill(server_processes(bench)[0].pid, signal.SIGKILL)

    settings = Settings(model=f"vllm:{bench.weights}", vllm_bin=str(bench.program), limit=ATTEMPTS, concurrency=4)
    home = Home(tmp_path / "home", data_dir)
    home.path.mkdir()
    outcome = await OneRun(home, plan_benchmarks(["gsm8k"], settings), listen).run()

    assert outcome.status is RunStatus.COMPLETED
    assert len(set(ended)) == len(ended) == ATTEMPTS
    queries = open_queries(home.database, home.socket)
    assert queries.rows(COUNTS, [outcome.run_id]) == [(ATTEMPTS, ATTEMPTS, ATTEMPTS)]
    queries.close()
    what = "is taken out" if broken else "starting it again"
    assert any("vLLM server 0 (GPU 0)" in line and what in line for line in said)
    assert not bench.processes()
