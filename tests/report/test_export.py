from __future__ import annotations

import hashlib
import json
from pathlib import Path

import duckdb
import openpyxl
import pytest

from stackbench.config import Home, Settings
from stackbench.engine import plan_benchmarks, read_samples, run_plan
from stackbench.errors import UsageError
from stackbench.report.export import QUERY_FORMATS, export
from stackbench.store import open_queries

pytestmark = pytest.mark.docker


@pytest.fixture
async def run_id(home: Home, image: str) -> str:
    plan = plan_benchmarks(
        ["humaneval", "gsm8k"], Settings(model="oracle", limit=3, sandboxes=1, system_prompt="Be brief.")
    )
    return (await run_plan(home, plan)).run_id


def files_of(home: Home, run_id: str, to: Path, formats: tuple[str, ...] = ()) -> list[Path]:
    queries = open_queries(home.database, home.socket)
    try:
        return list(export(queries, run_id, to, formats))
    finally:
        queries.close()


async def test_every_format_holds_the_same_rows(home: Home, run_id: str, tmp_path: Path) -> None:
    paths = {path.name for path in files_of(home, run_id, tmp_path / "out")}
    tables = ("attempts", "benchmarks", "events", "metrics", "run", "texts")
    assert paths == {f"{t}.{f}" for t in tables for f in QUERY_FORMATS} | {
        "samples-humaneval.jsonl",
        "tables.xlsx",
    }
    rows = [json.loads(line) for line in (tmp_path / "out" / "attempts.jsonl").read_text().splitlines()]
    assert len(rows) == 6
    for name in ("attempts.csv", "attempts.parquet"):
        found = duckdb.sql(f"SELECT task_id, completion FROM '{tmp_path / 'out' / name}'").fetchall()
        assert found == [(row["task_id"], row["completion"]) for row in rows]


async def test_exported_requests_have_their_texts(home: Home, run_id: str, tmp_path: Path) -> None:
    files_of(home, run_id, tmp_path / "out", ("jsonl",))
    read = {
        name: [json.loads(line) for line in (tmp_path / "out" / f"{name}.jsonl").read_text().splitlines()]
        for name in ("attempts", "events", "texts", "metrics")
    }
    texts = {row["sha256"]: row["text"] for row in read["texts"]}
    requests = [row["payload"]["request"] for row in read["events"] if row["kind"] == "model_call"]
    asked = [part for request in requests for turn in request["messages"] for part in turn["content"]]
    prompts = {hashlib.sha256(row["prompt"].encode()).hexdigest(): row["prompt"] for row in read["attempts"]}
    assert len(asked) == 12 and set(asked) == texts.keys() | prompts.keys()
    assert list(texts.values()) == ["Be brief."]
    order = [row["name"] for row in read["metrics"] if row["benchmark"] == "gsm8k"]
    assert order == ["exact_match_robust", "exact_match_flexible", "exact_match_strict"]


async def test_the_workbook_holds_the_tables_as_they_are(home: Home, run_id: str, tmp_path: Path) -> None:
    (path,) = files_of(home, run_id, tmp_path / "out", ("xlsx",))
    files_of(home, run_id, tmp_path / "out", ("jsonl",))
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == ["attempts", "metrics", "run", "benchmarks"]
    names, *rows = book["attempts"].values
    found = [dict(zip(names, row, strict=True)) for row in rows]
    wanted = [json.loads(line) for line in (tmp_path / "out" / "attempts.jsonl").read_text().splitlines()]
    assert [(row["task_id"], row["completion"], row["passed"]) for row in found] == [
        (row["task_id"], row["completion"], row["passed"]) for row in wanted
    ]


async def test_exported_metrics_have_their_denominators(home: Home, run_id: str, tmp_path: Path) -> None:
    files_of(home, run_id, tmp_path / "out", ("jsonl", "csv"))
    rows = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    (found,) = [row for row in rows if row["name"] == "pass@1"]
    wanted = {"tasks_completed": 3, "tasks_planned": 3, "tasks_available": 164, "attempts": 3, "errors": 0, "cut": 0}
    assert wanted.items() <= found.items()
    assert (found["selection"], found["errors_as_failures"]) == ("limit", 1.0)
    assert "tasks_planned" in (tmp_path / "out" / "metrics.csv").read_text().splitlines()[0]


async def test_exported_samples_can_be_scored_again(home: Home, run_id: str, tmp_path: Path) -> None:
    (path,) = files_of(home, run_id, tmp_path / "out", ("samples",))
    samples = read_samples(path, "humaneval", home)
    plan = plan_benchmarks(["humaneval"], Settings(sandboxes=1)).model_copy(update={"samples_file": str(path)})
    outcome = await run_plan(home, plan, samples=samples)
    assert outcome.results[0].metrics[0].value == 1.0


async def test_an_exported_run_can_be_replayed(home: Home, run_id: str, tmp_path: Path) -> None:
    files_of(home, run_id, tmp_path / "out", ("jsonl",))
    name = f"replay:{tmp_path / 'out' / 'attempts.jsonl'}"
    plan = plan_benchmarks(["humaneval", "gsm8k"], Settings(model=name, limit=3, sandboxes=1))
    assert [r.metrics[0].value for r in (await run_plan(home, plan)).results] == [1.0, 1.0]


async def test_bad_requests_are_one_clear_error(home: Home, run_id: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="measured neither throughput nor voice"):
        files_of(home, run_id, tmp_path / "plots", ("plots",))
    with pytest.raises(UsageError, match='unknown format "docx"; formats: jsonl'):
        files_of(home, run_id, tmp_path / "out", ("docx",))
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="the export to .*file"):
        files_of(home, run_id, tmp_path / "file")
