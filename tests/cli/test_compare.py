"""`compare`: what it refuses, gates of regression, and published results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stackbench.benchmarks.baselines import baselines
from stackbench.cli import main
from tests.written_runs import write_run


def verdicts(tasks: int, passed: int) -> dict[str, list[bool]]:
    return {f"gsm8k/{n}": [n < passed] for n in range(tasks)}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "home"
    write_run(path, "r-400", verdicts(500, 400))
    write_run(path, "r-395", verdicts(500, 395), minutes=10)
    write_run(path, "r-300", verdicts(500, 300), minutes=20)
    write_run(path, "r-few", verdicts(12, 6), minutes=30)
    write_run(path, "r-few-more", verdicts(12, 9), minutes=40)
    write_run(path, "r-other", verdicts(500, 400), minutes=50, datasets={"test.jsonl": "b" * 64})
    write_run(path, "r-five", {f"HumanEval/{n}": [n < 3] for n in range(5)}, benchmark="humaneval", minutes=55)
    write_run(path, "r-code", {f"HumanEval/{n}": [n % 2 == 0] for n in range(164)}, benchmark="humaneval", minutes=60)
    return path


def said(capsys: pytest.CaptureFixture[str], home: Path, *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["compare", *words, "--home", str(home)])
    shown = capsys.readouterr()
    return int(ended.value.code or 0), shown.out, shown.err


@pytest.mark.parametrize(
    ("second", "margin", "verdict", "code"),
    [
        ("r-400", "2", "pass", 0),
        ("r-395", "3", "pass", 0),
        ("r-395", "2", "undecided", 1),
        ("r-300", "2", "fail", 1),
        ("r-few", "2", "undecided", 1),
    ],
)
def test_a_gate_of_regression_tests_the_paired_difference(
    home: Path, capsys: pytest.CaptureFixture[str], second: str, margin: str, verdict: str, code: int
) -> None:
    first = "r-400" if second != "r-few" else "r-few-more"
    found, out, _ = said(capsys, home, first, second, "--margin", margin, "--json")
    (gate,) = json.loads(out)["gates"]
    assert (found, gate["verdict"], gate["passed"]) == (code, verdict, code == 0)
    assert (gate["attempts_to_decide"] is not None) == (verdict == "undecided")


def test_an_undecided_gate_says_how_many_attempts_would_decide_it(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = said(capsys, home, "r-400", "r-395", "--gate", "paired", "--margin", "1.2")
    assert code == 1
    line = " ".join(out.split())
    assert "gate gsm8k: undecided: not worse by more than 1.2 points?" in line
    assert "tasks in each run would decide" in line


def test_a_plain_gate_compares_the_values_alone(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, home, "r-400", "r-395", "--gate", "point", "--margin", "1")[0] == 0
    assert said(capsys, home, "r-400", "r-395", "--gate", "point", "--margin", "0.5")[0] == 1
    assert said(capsys, home, "r-400", "r-300")[0] == 0  # no gate was asked for


def test_below_15_tasks_there_are_only_counts(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = json.loads(said(capsys, home, "r-few", "r-few-more", "--json")[1])["benchmarks"]
    assert (found["better"], found["worse"], found["tasks"]) == (3, 0, 12)
    for name in ("ci_low", "ci_high", "p_value", "p_value_holm", "minimum_detectable_effect", "bootstrap"):
        assert found[name] is None
    shown = said(capsys, home, "r-few", "r-few-more", "--margin", "2")[1]
    assert "gsm8k: 12 tasks: too few independent ones for an interval and a p-value" in shown
    assert "undecided" in shown and "[-" not in shown.split("gate gsm8k")[1]
    (gate,) = json.loads(said(capsys, home, "r-few", "r-few-more", "--margin", "2", "--json")[1])["gates"]
    assert (gate["ci_low"], gate["ci_high"], gate["verdict"]) == (None, None, "undecided")
    (found,) = json.loads(said(capsys, home, "r-400", "r-300", "--json")[1])["benchmarks"]
    assert found["bootstrap"]["ci_high"] < 0 and found["p_value_holm"] == found["p_value"] < 1e-9
    assert 0.02 < found["minimum_detectable_effect"] < 0.08
    (found,) = json.loads(said(capsys, home, "r-400", "r-400", "--json")[1])["benchmarks"]
    assert found["stderr"] == 0 and 0 < found["minimum_detectable_effect"] < 0.03  # where nothing differs


def test_runs_on_different_data_are_refused_with_why(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, home, "r-400", "r-other")
    assert (code, out) == (2, "")
    assert "the runs had other data (test.jsonl: sha256 aaaaaaaaaaaa and bbbbbbbbbbbb)" in err


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("r-400", "nobody"), 'no run "nobody"; "stackbench runs" lists them'),
        (("r-400", "r-coed"), 'no run "r-coed" (did you mean "r-code"?); "stackbench runs" lists them'),
        (("r-400", "starcoder2-15b"), "has no benchmark with a published result of starcoder2-15b"),
        (("starcoder2-15b", "codellama-34b"), "are both published results"),
        (("r-400", "r-code"), "no completed task in common"),
        (("r-400", "r-395", "--margin", "-1"), "--margin"),
        (("r-400", "r-395", "--gate", "loose"), "--gate"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    home: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], fault: str
) -> None:
    code, out, err = said(capsys, home, *words)
    assert (code, out) == (2, "")
    assert fault in err and err.count("\n") == 1


def test_a_run_stands_beside_published_results_with_their_source(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (("r-code", "Qwen2.5-Coder-32B-Instruct"), ("qwen2.5-coder-32b-instruct", "r-code")):
        document = json.loads(said(capsys, home, *words, "--json")[1])
        found = document["benchmarks"][0]
        assert (found["value"], found["published"], found["published_tasks"]) == (0.5, 0.921, 164)
        assert found["difference"] == pytest.approx(-0.421)
        assert -0.51 < found["ci_low"] < found["ci_high"] < -0.32
        assert (found["comparability"], found["other_tasks"]) == ("close", "") and "github.com" in found["source"][
            "where"
        ]
    code, out, _ = said(capsys, home, "r-code", "qwen2.5-coder-0.5b-instruct", "--margin", "2")
    assert code == 1 and "gate humaneval.pass@1: undecided" in " ".join(out.split())


def test_a_part_of_the_tasks_beside_published_results_has_no_interval_and_is_not_close(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (("r-five", "qwen2.5-coder-0.5b-instruct"), ("qwen2.5-coder-0.5b-instruct", "r-five")):
        document = json.loads(said(capsys, home, *words, "--margin", "2", "--json")[1])
        (found,), (gate,) = document["benchmarks"], document["gates"]
        assert (found["difference"], found["direction"]) == (pytest.approx(0.6 - 0.616), "run minus published")
        assert (found["ci_low"], found["ci_high"], found["comparability"]) == (None, None, "partly")
        assert found["other_tasks"] == "5 of 164 tasks"
        assert (gate["verdict"], gate["ci_low"], gate["difference"]) == ("undecided", None, found["difference"])
    out = " ".join(said(capsys, home, "r-five", "qwen2.5-coder-0.5b-instruct")[1].split())
    assert "run minus published" in out and "[" not in out
    assert "humaneval.pass@1: 5 tasks: too few independent ones for an interval humaneval" in out
    assert "humaneval.pass@1: comparable partly, not closely: 5 of 164 tasks" in out


def test_published_results_are_shares_of_their_tasks() -> None:
    """Each value is some whole number of its tasks, rounded or cut to a tenth of a percent."""
    for one in baselines():
        if "not told" in one.note or one.benchmark in ("gsm8k", "mmlu"):
            continue
        exact = [100 * solved / one.tasks for solved in range(one.tasks + 1)]
        assert any(one.value in (round(share + 1e-9, 1), int(share * 10 + 1e-9) / 10) for share in exact), one
        assert one.source.where and one.source.setting
