"""Attempts by pages of keys, their neighbours, the list of runs, pace, and the deletion of a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stackbench.config import Home
from stackbench.store import Queries, Reader, Writer, open_queries
from stackbench.store.attempt_pages import (
    AttemptFilter,
    Outcome,
    read_index,
    read_neighbour,
    read_page,
    read_since,
)
from stackbench.store.pace import read_pace, read_task_counts
from stackbench.store.run_list import list_runs
from stackbench.types import AttemptKey
from tests.tui.recorded_home import record_run

RUN, OTHER = "20261126-090000-aaaaaa", "20261126-091000-bbbbbb"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("pages"))
    writer = Writer(home.database)
    record_run(writer, RUN, "m", tasks=530)
    record_run(writer, OTHER, "other", tasks=3, minutes=10)
    writer.close()
    return home


@pytest.fixture
def queries(home: Home) -> Iterator[Queries]:
    found = open_queries(home.database, home.socket)
    yield found
    found.close()


def test_pages_hold_every_row_once_in_the_order_of_commits(queries: Queries) -> None:
    index = read_index(queries, RUN, AttemptFilter(), 100)
    assert (index.total, len(index.starts)) == (530, 6)
    pages = [read_page(queries, RUN, AttemptFilter(), start, 100) for start in index.starts]
    assert [line.key.task_id for page in pages for line in page] == [f"HumanEval/{n}" for n in range(530)]
    assert pages[-1][-1].row == index.last


@pytest.mark.parametrize(
    ("outcome", "total"),
    [("all", 530), ("failed", 132), ("errors", 1), ("not passed", 133), ("passed", 397), ("cut", 0)],
)
def test_outcomes(queries: Queries, outcome: Outcome, total: int) -> None:
    assert read_index(queries, RUN, AttemptFilter(outcome)).total == total


def test_text_in_small_letters_fits_in_any_case(queries: Queries) -> None:
    assert read_index(queries, RUN, AttemptFilter(text="humaneval/52")).total == 11
    assert read_index(queries, RUN, AttemptFilter(text="HumanEval/52")).total == 11
    assert read_index(queries, RUN, AttemptFilter(text="Humaneval/52")).total == 0
    assert read_index(queries, RUN, AttemptFilter(text="%' OR 1=1 --")).total == 0
    for text in ("humaneval_52", "human%52", "humaneval\\52"):  # what means something to LIKE means itself here
        assert read_index(queries, RUN, AttemptFilter(text=text)).total == 0
    assert read_index(queries, RUN, AttemptFilter(benchmark="mbpp")).total == 0


def test_rows_committed_since_a_key(queries: Queries) -> None:
    index = read_index(queries, RUN, AttemptFilter())
    assert read_since(queries, RUN, AttemptFilter(), index.last) == []
    assert len(read_since(queries, RUN, AttemptFilter(), index.last - 5)) == 5


def test_neighbours_among_those_that_fit(queries: Queries) -> None:
    key = AttemptKey("humaneval", "HumanEval/4", 0, 0)
    failed = AttemptFilter("not passed")
    after = read_neighbour(queries, RUN, failed, key, forward=True)
    before = read_neighbour(queries, RUN, failed, key, forward=False)
    assert after is not None and after.task_id == "HumanEval/6"
    assert before is not None and before.task_id == "HumanEval/3"
    assert read_neighbour(queries, RUN, failed, AttemptKey("humaneval", "HumanEval/0", 0, 0), forward=False) is None
    assert read_neighbour(queries, RUN, failed, AttemptKey("humaneval", "none", 0, 0), forward=True) is None


def test_the_list_of_runs_has_counts_and_the_metrics_asked_for(queries: Queries) -> None:
    runs = list_runs(queries, ["pass@1"])
    assert [run.run_id for run in runs] == [OTHER, RUN]
    (humaneval,) = runs[1].benchmarks
    assert (humaneval.attempts, humaneval.errors, humaneval.passed, humaneval.planned) == (530, 1, 397, 530)
    assert [metric.name for metric in humaneval.metrics] == ["pass@1"]
    assert list_runs(queries, [])[1].benchmarks[0].metrics == ()


def test_pace_is_of_one_model(queries: Queries) -> None:
    pace = read_pace(queries, "m")["humaneval"]
    assert pace.attempts == 529 and pace.seconds == pytest.approx(3 * 529 + 34, abs=10)
    assert read_pace(queries, "nobody") == {}
    assert read_task_counts(queries) == {"humaneval": 164}


def test_a_deleted_run_leaves_nothing_and_others_alone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    writer = Writer(home.database)
    record_run(writer, RUN, "m", tasks=5)
    record_run(writer, OTHER, "m", tasks=3, minutes=10)
    writer.delete_run(RUN)
    writer.delete_run(RUN)
    writer.close()
    queries = open_queries(home.database, home.socket)
    try:
        assert [run.run_id for run in Reader(queries).runs()] == [OTHER]
        for table, left in (("attempts", 3), ("events", 6), ("run_benchmarks", 1), ("metrics", 1)):
            assert queries.rows(f"SELECT count(*), count(DISTINCT run_id) FROM {table}") == [(left, 1)], table
    finally:
        queries.close()
