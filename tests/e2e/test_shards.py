"""A run dealt out to several homes, and merged into one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import said_by

SUITE = '[[benchmarks]]\nname = "gsm8k"\n\n[[benchmarks]]\nname = "mmlu"\noptions = { shots = 0 }\n'
KEYS = "SELECT count(*), count(DISTINCT (benchmark, task_id, attempt, seed)) FROM attempts WHERE run_id = '{}'"


@pytest.fixture
def folder(tmp_path: Path, data_dir: Path) -> Path:
    (tmp_path / "two.toml").write_text(SUITE)
    return tmp_path


def shard(folder: Path, home: str, part: str | None, *options: str, limit: int = 7, model: str = "oracle") -> int:
    command = ["--batch", "two.toml", "-m", model, "--limit", str(limit), "-n", "2", "--home", home, "-q", *options]
    code, _, err = said_by(*command, *(["--shard", part] if part else []), folder=folder)
    assert code == 0, err
    return code


def merge(folder: Path, *homes: str, into: str = "all") -> tuple[int, dict[str, Any], str]:
    code, out, err = said_by("runs", "merge", *homes, "--home", into, "--json", folder=folder)
    return code, json.loads(out) if out else {}, err


def metrics(document: dict[str, Any]) -> dict[str, Any]:
    return {one["benchmark"]: one["metrics"] for one in document["results"]}


def test_shards_are_merged_into_the_run_that_one_machine_would_have_made(folder: Path) -> None:
    for number in (1, 2, 3):
        shard(folder, f"part{number}", f"{number}/3")
    code, first, err = merge(folder, "part1", "part2")
    assert code == 130 and "no source has shard 3/3" in err and first["status"] == "interrupted"
    assert first["merged"]["added"] == 20
    code, whole, _ = merge(folder, "part3", "part1", "part2")
    assert (code, whole["status"], whole["run_id"]) == (0, "completed", first["run_id"])
    assert whole["merged"] == {"added": 8, "shards": ["1/3", "2/3", "3/3"], "missing": []}
    code, again, _ = merge(folder, "part1", "part2", "part3", "part1")
    assert (code, again["merged"]["added"], metrics(again)) == (0, 0, metrics(whole))

    shard(folder, "alone", None, "--json")
    _, out, _ = said_by("show", "last", "--json", "--home", "alone", folder=folder)
    assert {n: m["exact_match_robust"]["n"] for n, m in metrics(json.loads(out)).items() if n == "gsm8k"} == {
        "gsm8k": 7
    }
    assert metrics(json.loads(out)) == metrics(whole)

    _, out, _ = said_by("query", KEYS.format(whole["run_id"]), "--format", "csv", "--home", "all", folder=folder)
    assert out.splitlines()[-1] == "28,28"
    code, out, err = said_by("verify", whole["run_id"], "--home", "all", "--tasks", "2", folder=folder)
    assert code == 0, out + err


def test_what_no_shard_made_can_be_made_in_the_merged_run(folder: Path) -> None:
    for number in (1, 2):
        shard(folder, f"part{number}", f"{number}/2", limit=4)
    code, half, _ = merge(folder, "part2")
    assert code == 130
    code, _, err = said_by("eval", "--resume", half["run_id"], "--home", "all", "-q", folder=folder)
    assert code == 0, err
    code, whole, _ = merge(folder, "part1", "part2")
    assert (code, whole["run_id"], whole["merged"]["added"]) == (0, half["run_id"], 0)


def test_what_cannot_be_merged_is_one_line(folder: Path) -> None:
    shard(folder, "part1", "1/2")
    shard(folder, "other", "2/2", limit=5)
    shard(folder, "whole", None)
    (folder / "empty").mkdir()
    for homes, said in (
        (["part1", "other"], "is no shard of the same run"),
        (["part1", "whole"], "has no run of a shard"),
        (["empty"], "has no stackbench.duckdb"),
        (["nowhere"], "has no stackbench.duckdb"),
    ):
        code, _, err = merge(folder, *homes)
        assert (code, len(err.splitlines())) == (2, 1) and said in err, (homes, err)


@pytest.mark.parametrize("written", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", ""])
def test_a_shard_that_means_nothing_is_one_line(written: str, folder: Path) -> None:
    command = ["eval", "gsm8k", "-m", "oracle", f"--shard={written}", "--home", "h"]
    code, out, err = said_by(*command, folder=folder)
    assert (code, out, len(err.splitlines())) == (2, "", 1) and "--shard" in err


def test_a_shard_without_tasks_says_so(folder: Path) -> None:
    command = ["eval", "gsm8k", "-m", "oracle", "--limit", "2", "--shard", "3/3", "--home", "h"]
    code, _, err = said_by(*command, folder=folder)
    assert code == 2 and "shard 3/3 has none of its 2 tasks" in err
