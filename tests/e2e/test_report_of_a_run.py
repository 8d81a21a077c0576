"""A run that the program made, reported and packed by the program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Program

pytestmark = pytest.mark.e2e


def test_a_run_is_reported_as_it_was_made(program: Program, tmp_path: Path) -> None:
    made = program.json("eval", "gsm8k", "mmlu", "-m", "oracle", "--limit", "20", "--seed", "3")
    done = program.run("report", "last", "--to", str(tmp_path / "report"))
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads((tmp_path / "report" / "results.json").read_text())
    (run,) = document["runs"]
    assert (run["run_id"], run["status"], run["harness_check"], run["seeds"]) == (
        made["run_id"],
        "completed",
        True,
        [3],
    )
    for recorded, reported in zip(made["results"], run["benchmarks"], strict=True):
        assert (recorded["benchmark"], recorded["attempts"]) == (reported["name"], reported["attempts"])
        figures = {m["name"]: m["value"] for m in reported["measures"] if not m["category"]}
        assert figures == {name: m["value"] for name, m in recorded["metrics"].items() if "/" not in name}
    gsm8k, mmlu = run["benchmarks"]
    assert (gsm8k["settings"]["prompt_form"], gsm8k["settings"]["shots"]) == ("chat", 0)
    assert mmlu["settings"]["shots"] == 5 and mmlu["settings"]["datasets"].keys() >= {"mmlu/test.jsonl.gz"}
    text = (tmp_path / "report" / "BENCHMARKS.md").read_text()
    assert "It checks the harness and is no model's result." in text and "20 of 1,319" in text
    done = program.run("publish", "last", "--to", str(tmp_path / "package"), "--author", "A", "--model-id", "a/b")
    assert done.returncode == 2 and "a check of the harness and no model" in done.stderr
