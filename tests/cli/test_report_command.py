"""`report` on the command line: files, refusals, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stackbench.cli import main
from stackbench.config import Home
from stackbench.engine import Gate
from stackbench.types import RunStatus
from tests.report.recorded_results import Part, make_home, record_run

OTHER_DATA = {"humaneval/HumanEval.jsonl.gz": "00" * 32}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = make_home(tmp_path_factory.mktemp("home"))
    gate = Gate(name="floor", benchmark="humaneval", metric="pass@1", min=0.9)
    record_run(home, "20261126-090000-aaaaaa", gates=[gate])
    record_run(home, "20261126-091000-bbbbbb", "hf:other", [Part(tasks=10)])
    record_run(home, "20261126-092000-cccccc", "oracle")
    record_run(home, "20261126-093000-dddddd", "hf:third", [Part(datasets=OTHER_DATA)])
    record_run(home, "20261126-094000-eeeeee", parts=[Part(tasks=1), Part("gone", tasks=0, planned=5, datasets={})])
    record_run(home, "20261126-095000-ffffff", parts=[Part(errors=12)], status=RunStatus.FAILED)
    return home


def report(home: Home, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stackbench", "report", *arguments, "--home", str(home.path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stderr
    return done


def results(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text())


def test_report_names_its_files_and_holds_the_gates(home: Home, tmp_path: Path) -> None:
    done = report(home, "20261126-0900", "--to", str(tmp_path / "out"), "--format", "markdown", "--json")
    document = json.loads(done.stdout)
    assert document["left_out"] == [] and all(Path(path).is_file() for path in document["files"])
    assert not (tmp_path / "out" / "report.pdf").exists()
    (gate,) = results(tmp_path / "out")["runs"][0]["gates"]
    assert (gate["name"], gate["bounds"], gate["passed"]) == ("floor", "min 0.9", False)
    assert "Gates not met: floor." in (tmp_path / "out" / "BENCHMARKS.md").read_text()
    refused = report(home, "20261126-0910", "--to", str(tmp_path / "out"), code=2)
    assert "holds the report of 20261126-090000-aaaaaa; name another folder" in refused.stderr


def test_models_stand_side_by_side_and_checks_of_the_harness_apart(home: Home, tmp_path: Path) -> None:
    names = ("20261126-0900", "20261126-0910", "20261126-0920")
    report(home, *names, "--to", str(tmp_path), "--format", "markdown", "--format", "plots")
    text = (tmp_path / "BENCHMARKS.md").read_text()
    scores, _, checks = text.partition("**Checks of the harness; these are no models**")
    assert checks and "oracle" not in scores.partition("**Scores**")[2]
    assert "oracle" not in json.dumps(results(tmp_path)["comparisons"])
    (pair,) = results(tmp_path)["comparisons"]
    assert (pair["n"], pair["first_run"], pair["second_run"]) == (
        10,
        "20261126-090000-aaaaaa",
        "20261126-091000-bbbbbb",
    )
    assert "have different tasks: 2 of the first and 0 of the second are left out" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("20261126-0900", "20261126-0930"), "have different data of humaneval: humaneval/HumanEval.jsonl.gz differ"),
        (("20261126-0900", "20261126-0900"), "is named twice"),
        (("nothing",), 'no run "nothing"'),
        (("20261126-0900", "--format", "pfd"), 'unknown format "pfd" (did you mean "pdf"?)'),
        ((), "RUN"),
    ],
)
def test_what_cannot_be_reported_is_one_line_and_nothing_is_written(
    home: Home, tmp_path: Path, arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["report", *arguments, "--to", str(tmp_path / "out"), "--home", str(home.path)])
    stdout, stderr = capsys.readouterr()
    assert left.value.code == 2
    assert said in stderr and stderr.count("\n") == 1 and stdout == ""
    assert not (tmp_path / "out").exists()


def test_one_attempt_and_a_benchmark_that_is_gone(home: Home, tmp_path: Path) -> None:
    report(home, "20261126-0940", "--to", str(tmp_path), "--format", "markdown")
    one, gone = results(tmp_path)["runs"][0]["benchmarks"]
    assert (one["attempts"], one["measures"][0]["n"], one["pass_at_k"], one["seeds"]) == (1, 1, [], [])
    assert (gone["known"], gone["attempts"], gone["measures"], gone["headline"]) == (False, 0, [], None)
    text = (tmp_path / "BENCHMARKS_DETAILED.md").read_text()
    assert "This version of stackbench does not know the benchmark gone" in text
    assert "| gone | no completed attempt |  | none | 0 | - | 0 of 164 | 0 | 0 | 0 |" in text


def test_a_run_of_errors_alone_has_no_score_and_names_them(home: Home, tmp_path: Path) -> None:
    report(home, "20261126-0950", "--to", str(tmp_path), "--format", "html", "--format", "markdown")
    (one,) = results(tmp_path)["runs"][0]["benchmarks"]
    assert one["headline"] is None and one["latency"] is None
    assert [(out["kind"], out["count"]) for out in one["exclusions"] if out["kind"] == "error"] == [("error", 12)]
    assert "no completed attempt" in (tmp_path / "BENCHMARKS.md").read_text()


def test_a_file_in_place_of_the_folder_is_said(home: Home, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    done = report(home, "last", "--to", str(tmp_path / "file"), code=2)
    assert f"the report cannot be written to {tmp_path / 'file'}" in done.stderr
