"""`rerun` repeats a recorded configuration; what differs is listed, and decides the exit code where it is greedy."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from stackbench.cli import main
from stackbench.config import Home


@pytest.fixture
def place(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("STACKBENCH_HOME", str(home.path))
    monkeypatch.setenv("STACKBENCH_DATA", str(home.data_extra))
    return home


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any, str]:
    with pytest.raises(SystemExit) as ended:
        main([*words, "-q"] if words[0] != "runs" else list(words))
    shown = capsys.readouterr()
    document = json.loads(shown.out) if "--json" in words and shown.out else shown.out
    return int(ended.value.code or 0), document, shown.err


def test_a_greedy_run_comes_out_the_same(place: Home, capsys: pytest.CaptureFixture[str]) -> None:
    first = run(capsys, "eval", "gsm8k", "-m", "oracle", "--limit", "6", "--name", "first", "--json")[1]
    assert re.fullmatch("[0-9a-f]{64}", first["chain"])
    code, found, _ = run(capsys, "rerun", "first", "--json")
    assert (code, found["repeats"], found["status"]) == (0, first["run_id"], "completed")
    assert (found["attempts"], found["same_answers"], found["same_verdicts"]) == (6, 6, 6)
    assert found["greedy"] == ["gsm8k"] and found["differing"] == [] and found["run_id"] != first["run_id"]


def test_other_verdicts_are_listed_and_fail_a_greedy_run(place: Home, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "eval", "gsm8k", "-m", "oracle", "--limit", "4", "--json")
    code, found, _ = run(capsys, "rerun", "last", "-m", "null", "--json")
    assert code == 1 and found["same_verdicts"] == 0
    assert [(one["first"], one["second"], one["same_answer"]) for one in found["differing"]] == [
        ("passed", "failed", False)
    ] * 4
    assert found["settings"]["environment.model.kind"] == ["oracle", "null"]
    code, shown, _ = run(capsys, "rerun", "last", "-m", "oracle", "--tasks", "1")
    assert code == 1 and "3 more; --tasks 0 shows all" in shown


def test_what_is_drawn_at_a_temperature_may_differ(place: Home, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "eval", "gsm8k", "-m", "oracle", "--limit", "2", "--temperature", "0.5", "--json")
    code, found, _ = run(capsys, "rerun", "last", "-m", "null", "--json")
    assert (code, found["greedy"], len(found["differing"])) == (0, [], 2)


def test_a_run_that_does_not_exist_is_refused(place: Home, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "eval", "gsm8k", "-m", "null", "--limit", "1", "--json")
    code, out, err = run(capsys, "rerun", "nobody")
    assert (code, out, err.count("\n")) == (2, "", 1) and 'no run "nobody"' in err
