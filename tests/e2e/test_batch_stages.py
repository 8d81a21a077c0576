"""`--batch` of a suite with stages, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import said_by

SUITE = """
[batch]
first = "first.toml"
report = true
verify = true

[[benchmarks]]
name = "gsm8k"
limit = 5

[[benchmarks]]
name = "mmlu"
limit = 4
optional = true
limited_options = { shots = 0 }
"""
FIRST = """
[[benchmarks]]
name = "gsm8k"
limit = 1
"""


@pytest.fixture
def folder(tmp_path: Path, data_dir: Path) -> Path:
    (tmp_path / "nightly.toml").write_text(SUITE)
    (tmp_path / "first.toml").write_text(FIRST)
    return tmp_path


def batch(folder: Path, *options: str, model: str = "oracle") -> tuple[int, dict[str, Any], str]:
    command = ["--batch", "nightly.toml", "-m", model, "--home", str(folder / "home"), "--json", *options]
    code, out, err = said_by(*command, folder=folder)
    return code, json.loads(out) if out else {}, err


def runs(folder: Path) -> list[tuple[str, str]]:
    _, out, _ = said_by(
        "query", "SELECT suite, status FROM runs ORDER BY created_at", "--format", "json", "--home",
        str(folder / "home"),
    )  # fmt: skip
    return [(row["suite"], row["status"]) for row in json.loads(out)]


def test_all_stages_are_done_once_and_another_call_is_another_batch(folder: Path) -> None:
    code, document, err = batch(folder)
    assert code == 0, err
    assert [line for line in err.splitlines() if line.startswith("stage")] == [
        "stage 1 of 4: first", "stage 2 of 4: nightly", "stage 3 of 4: report", "stage 4 of 4: verification",
    ]  # fmt: skip
    assert document["status"] == "completed"
    assert document["verification"]["passed"] is True
    assert (folder / "home" / "runs" / document["run_id"] / "report" / "BENCHMARKS.md") in map(
        Path, document["report"]["files"]
    )
    assert not list((folder / "home" / "batches").iterdir())
    assert runs(folder) == [("first", "completed"), ("nightly", "completed")]
    assert batch(folder, "-q")[0] == 0
    assert len(runs(folder)) == 4


def test_what_an_earlier_call_finished_is_not_done_twice(folder: Path) -> None:
    state = folder / "home" / "batches"
    assert batch(folder)[0] == 0
    (first, _), (nightly, _) = runs(folder)
    began = {"began": "2000-01-01 00:00:00", "smoke": "x"}
    code, plan, _ = batch(folder, "--dry-run")  # starts nothing, leaves nothing
    assert code == 0 and plan["dry_run"] and not list(state.iterdir())
    code, document, _ = batch(folder, model="null")  # of another model: a batch of its own
    assert code == 0 and document["verification"]["passed"]
    before = len(runs(folder))
    # as it is when the report was being written as the machine went down
    (state / kept_name(folder)).write_text(json.dumps(began))
    code, document, err = batch(folder)
    assert code == 0 and "is complete already" in err and "going on with what was begun" in err
    assert document["report"]["files"] and document["verification"]["passed"]
    assert len(runs(folder)) == before
    assert (first, nightly) == ("first", "nightly")


def kept_name(folder: Path) -> str:
    """The file that a batch of this suite and model keeps while it goes on."""
    from stackbench.cli.batch_stages import state_path
    from stackbench.config import Home
    from stackbench.engine import RunPlan
    from stackbench.store import Reader, open_queries

    home = Home(folder / "home")
    queries = open_queries(home.database, home.socket)
    found = next(run for run in Reader(queries).runs() if run.suite == "nightly" and run.model == "oracle")
    queries.close()
    return state_path(home, RunPlan.model_validate(found.config)).name


def test_a_first_suite_that_fails_ends_the_batch(folder: Path) -> None:
    gates = '\n[[gates]]\nname = "works"\nbenchmark = "gsm8k"\nmetric = "exact_match_robust"\nmin = 1.0\n'
    (folder / "first.toml").write_text(FIRST + gates)
    code, document, err = batch(folder, model="null")
    assert (code, document["status"]) == (1, "completed")
    assert "first did not go through, so that nightly was not begun" in err
    assert [suite for suite, _ in runs(folder)] == ["first"]


@pytest.mark.parametrize(
    ("suite", "said"),
    [
        (SUITE.replace("report", "reprot"), 'unknown key "reprot"'),
        (SUITE.replace('"first.toml"', '"nothing"'), "unknown suite"),
        (SUITE.replace("report = true", "reruns = 99"), "batch.reruns"),
    ],
)
def test_stages_that_mean_nothing_are_one_line(suite: str, said: str, folder: Path) -> None:
    (folder / "nightly.toml").write_text(suite)
    code, document, err = batch(folder)
    assert (code, document) == (2, {})
    assert said in err and len(err.splitlines()) == 1
    assert not (folder / "home" / "stackbench.duckdb").exists()
