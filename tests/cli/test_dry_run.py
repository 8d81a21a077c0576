from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command_line import said_by


def test_a_plan_is_printed_within_eighty_columns_and_starts_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    code, out, err = said_by(
        "--batch", "full", "--dry-run", "--home", str(home), "-m", "vllm:qwen2.5-coder-7b-instruct",
        "--machines", "20x64x80", COLUMNS="80",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert not home.exists()
    assert max(map(len, out.splitlines())) <= 80
    assert "20 machines: 64 x H100 80 GiB" in out
    timeline = out[out.index("timeline") :]
    rows = [line.split()[0] for line in timeline.splitlines()[1:12]]
    assert rows[-1] == "throughput" and rows.index("humaneval") < rows.index("mmlu")
    assert "servers 0-" in timeline and "alone" in timeline and "exclusive" in timeline
    assert "what saturates first" in out


def test_the_plan_is_data_too(tmp_path: Path) -> None:
    command = ["eval", "gsm8k", "mmlu", "-m", "null", "--limit", "3", "--dry-run", "--json"]
    code, out, _ = said_by(*command, folder=tmp_path)
    plan = json.loads(out)
    assert code == 0 and plan["dry_run"] is True
    assert [(one["name"], one["attempts"]) for one in plan["benchmarks"]] == [("gsm8k", 3), ("mmlu", 3)]
    assert plan["seconds"] >= plan["setup_s"] and plan["bounds"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--machines", "20x64"], "add --dry-run"),
        (["--dry-run", "--machines", "lots"], "machines x GPUs"),
        (["--dry-run", "--detach"], "leave --detach out"),
        (["--dry-run", "--resume"], "leave --resume out"),
        (["--dry-run", "-m", "nonsense"], "unknown model"),
        (["--dry-run", "--limit", "0"], "limit"),
    ],
)
def test_what_makes_no_sense_is_one_line(options: list[str], said: str, tmp_path: Path) -> None:
    code, out, err = said_by("eval", "gsm8k", "--home", str(tmp_path / "h"), *options)
    assert (code, out) == (2, "")
    assert said in err and len(err.splitlines()) == 1
