"""Two small repositories, and a home whose images, tables and verdicts the tests of this folder share."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stackbench.config import Home, Settings
from stackbench.engine import RunOutcome, RunPlan, plan_benchmarks, read_samples
from stackbench.report.export import export
from stackbench.store import open_queries
from tests.benchmarks.swebench import small_repositories
from tests.benchmarks.swebench.grader import Grader, made_grader
from tests.benchmarks.swebench.small_repositories import SmallRepositories
from tests.engines import OneRun


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallRepositories:
    return small_repositories.make(tmp_path_factory.mktemp("swebench"))


@pytest.fixture(scope="session")
def swe_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("swe-home"))


@pytest.fixture(scope="session")
async def grader(swe_home: Home, small: SmallRepositories, image: str) -> AsyncIterator[Grader]:
    async with made_grader(swe_home.path / "cache" / "swebench", small) as grader:
        yield grader


ATTEMPTS = """
SELECT task_id, status, passed, reason, metrics, program, error_kind FROM attempts WHERE run_id = ? ORDER BY task_id
"""
EVENTS = "SELECT task_id, kind, payload FROM events WHERE run_id = ? AND task_id IS NOT NULL ORDER BY seq"


@dataclass(frozen=True)
class Attempt:
    """An attempt's row, and the last event of each kind."""

    status: str
    passed: bool | None
    reason: str
    metrics: dict[str, Any]
    patch: str
    error_kind: str | None
    events: dict[str, Any]


TOOL_CALLS = "SELECT coalesce(result, error) FROM tool_calls WHERE run_id = ? AND task_id = ? ORDER BY step"


class Runs:
    """Makes runs in one home."""

    def __init__(self, home: Home, small: SmallRepositories) -> None:
        self.home = home
        self.small = small
        self.said: list[str] = []

    def plan(self, model: str, ids: tuple[str, ...] = (), **options: Any) -> RunPlan:
        given = {
            "dataset": str(self.small.dataset),
            "repo_mirror": str(self.small.mirrors),
            "any_python": True,
            "test_timeout": 60,
            **options,
        }
        return plan_benchmarks(["swebench"], Settings(model=model, concurrency=2), list(ids), given)

    async def make(self, plan: RunPlan, *, predictions: Path | None = None) -> RunOutcome:
        samples = None
        if predictions is not None:
            samples = read_samples(predictions, "swebench", self.home, plan.benchmarks[0].options)
            plan = plan.model_copy(update={"samples_file": str(predictions), "samples_sha256": samples.sha256})

        def listen(event: Any) -> None:
            if event.kind == "notice":
                self.said.append(event.text)

        return await OneRun(self.home, plan, listen, samples=samples).run()

    def export(self, run: RunOutcome, to: Path) -> dict[str, str]:
        """The files of the leaderboard's layout, by name."""
        queries = open_queries(self.home.database, self.home.socket)
        try:
            paths = list(export(queries, run.run_id, to, ["swebench"]))
        finally:
            queries.close()
        return {str(path.relative_to(to / "swebench")): path.read_text() for path in paths}

    def tool_results(self, run: RunOutcome, task_id: str) -> list[str]:
        """What an attempt's calls gave, in order."""
        queries = open_queries(self.home.database, self.home.socket)
        try:
            return [text for (text,) in queries.rows(TOOL_CALLS, [run.run_id, task_id])]
        finally:
            queries.close()

    def kinds(self, run: RunOutcome, task_id: str) -> list[str]:
        """The kinds of an attempt's events, in order."""
        queries = open_queries(self.home.database, self.home.socket)
        try:
            return [kind for task, kind, _ in queries.rows(EVENTS, [run.run_id]) if task == task_id]
        finally:
            queries.close()

    def attempts(self, run: RunOutcome) -> dict[str, Attempt]:
        """A run's attempts by instance."""
        queries = open_queries(self.home.database, self.home.socket)
        try:
            rows = queries.rows(ATTEMPTS, [run.run_id])
            events = queries.rows(EVENTS, [run.run_id])
        finally:
            queries.close()
        found: dict[str, dict[str, Any]] = {}
        for task_id, kind, payload in events:
            found.setdefault(task_id, {})[kind] = json.loads(payload)
        return {
            task: Attempt(
                status, passed, reason or "", json.loads(metrics or "{}"), program or "", kind, found.get(task, {})
            )
            for task, status, passed, reason, metrics, program, kind in rows
        }


@pytest.fixture
def runs(swe_home: Home, small: SmallRepositories) -> Runs:
    return Runs(swe_home, small)
