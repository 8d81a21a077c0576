"""Verdicts on logs are swebench's own, for each status that a required test can have."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from stackbench.benchmarks import create_benchmark
from stackbench.benchmarks.swebench.eval_script import END, START, Canary
from stackbench.benchmarks.swebench.official import classify, grade_log, harness_version, parsers_of_repositories
from stackbench.benchmarks.swebench.test_log import read_log
from stackbench.datasets import DatasetStore
from stackbench.errors import DataNotAvailableError, UsageError

STATUSES = ("PASSED", "FAILED", "ERROR", "SKIPPED", "XFAIL", "absent")
PARSER = "parse_log_pytest"


def log_of(lines: list[str], code: int = 0) -> str:
    """What a test script prints, with another test that passes, so that there is always something to parse."""
    body = "\n".join([*lines, "PASSED tests/t.py::test_other"])
    return f"+ git apply\n+ : '{START}'\n{body}\n+ STACKBENCH_TEST_STATUS={code}\n+ : '{END}'\n"


def line_of(name: str, status: str) -> list[str]:
    return [] if status == "absent" else [f"{status} tests/t.py::{name}"]


@pytest.mark.parametrize(("fixed", "kept"), list(itertools.product(STATUSES, STATUSES)))
def test_each_pair_of_statuses_is_graded_as_swebench_grades_it(fixed: str, kept: str, tmp_path: Path) -> None:
    """The truth table: our reading of a log beside the function of swebench that writes `report.json`."""
    grading = pytest.importorskip("swebench.harness.grading")
    from swebench.types import TestSpec

    lines = [*line_of("test_fix", fixed), *line_of("test_keep", kept)]
    code = int({fixed, kept} & {"FAILED", "ERROR"} != set())
    required = {"FAIL_TO_PASS": ["tests/t.py::test_fix"], "PASS_TO_PASS": ["tests/t.py::test_keep"]}
    raw = log_of(lines, code)
    path = tmp_path / "test_output.txt"
    path.write_text(f"{raw}>>>>> Test Exit Code: {code}\n")
    spec = TestSpec("x", "", [], "", "", required["FAIL_TO_PASS"], required["PASS_TO_PASS"], PARSER, "pass_and_fail")
    theirs = grading.get_eval_report(spec, {"instance_id": "x", "model_patch": "p"}, str(path), True)["x"]

    facts = read_log(raw, code, None, [*required["FAIL_TO_PASS"], *required["PASS_TO_PASS"]], PARSER, "pass_and_fail")
    ours = grade_log("x", required, PARSER, "pass_and_fail", facts.log)
    assert ours.report == theirs
    assert ours.resolved == (fixed in ("PASSED", "XFAIL") and kept in ("PASSED", "XFAIL", "SKIPPED"))
    assert ours.fail_to_pass == (int(fixed in ("PASSED", "XFAIL")), 1)


def test_a_log_without_markers_or_without_results_resolves_nothing() -> None:
    required = {"FAIL_TO_PASS": ["tests/t.py::test_fix"], "PASS_TO_PASS": []}
    printed = "PASSED tests/t.py::test_fix\n"
    for raw in (printed, f"{END}\n{printed}{START}\n", f"{START}\n{printed}", f"{START}\n{END}\n"):
        facts = read_log(raw, 0, None, required["FAIL_TO_PASS"], PARSER, "pass_and_fail")
        ours = grade_log("x", required, PARSER, "pass_and_fail", facts.log)
        assert not ours.resolved and not ours.parsed


def test_names_of_unittest_are_read_in_the_form_of_the_row() -> None:
    old, new = "test_x (a.b.C)", "test_x (a.b.C.test_x)"
    for row, printed in ((old, new), (new, old), (old, old), (new, new)):
        facts = read_log(log_of([f"{printed} ... ok"]), 0, None, [row], "parse_log_django", "pass_and_fail")
        graded = grade_log(
            "x", {"FAIL_TO_PASS": [row], "PASS_TO_PASS": []}, "parse_log_django", "pass_and_fail", facts.log
        )
        assert graded.resolved, (row, printed)


def test_names_that_the_parser_cuts_at_a_blank_are_found() -> None:
    whole = "tests/t.py::test_fix[a b]"
    facts = read_log(log_of([f"PASSED {whole}"]), 0, None, [whole], PARSER, "pass_and_fail")
    assert facts.aliases == {whole: "tests/t.py::test_fix[a"}


def test_a_test_that_failed_and_passed_afterwards_is_contradicted() -> None:
    name = "tests/t.py::test_fix"
    facts = read_log(log_of([f"FAILED {name}", f"PASSED {name}"]), 1, None, [name], PARSER, "pass_and_fail")
    assert facts.contradicted == {name}
    honest = read_log(log_of([f"PASSED {name}", f"FAILED {name}"]), 1, None, [name], PARSER, "pass_and_fail")
    assert honest.contradicted == frozenset()


def test_the_canary_has_to_fail_and_leaves_the_log_as_it_was_without_it() -> None:
    name, canary = "tests/t.py::test_fix", Canary("tests/test_abc123.py", "abc123")
    failed = [f"PASSED {name}", "FAILED tests/test_abc123.py::test_abc123 - AssertionError"]
    facts = read_log(log_of(failed, 1), 1, canary, [name], PARSER, "pass_and_fail")
    assert facts.canary_failed is True and "abc123" not in facts.log
    assert grade_log("x", {"FAIL_TO_PASS": [name], "PASS_TO_PASS": []}, PARSER, "pass_and_fail", facts.log).resolved
    silent = read_log(log_of([f"PASSED {name}"]), 0, canary, [name], PARSER, "pass_and_fail")
    assert silent.canary_failed is False


def test_a_printed_exit_status_is_none() -> None:
    name = "tests/t.py::test_fix"
    forged = [f"PASSED {name}", ">>>>> Test Exit Code: 0"]
    facts = read_log(log_of(forged, 3), 3, None, [name], PARSER, "pass_and_fail")
    assert not grade_log("x", {"FAIL_TO_PASS": [name], "PASS_TO_PASS": []}, PARSER, "pass_and_fail", facts.log).resolved


def test_parsers_and_signatures_are_swebenchs() -> None:
    parsers = parsers_of_repositories()
    assert parsers["django/django"] == "parse_log_django" and parsers["sphinx-doc/sphinx"] == "parse_log_sphinx"
    assert classify("Could not resolve host: x") == ("network_unreachable", "environment")
    assert classify("collected 0 items") == ("no_tests_collected", "ambiguous")
    assert harness_version() >= "5.0.2"


def test_the_rows_of_the_shared_data_name_parsers_that_exist(data_dir: Path) -> None:
    rows = [json.loads(line) for line in (data_dir / "swebench" / "instances.jsonl").read_text().splitlines()]
    assert {row["repo"] for row in rows} <= parsers_of_repositories().keys()


def test_without_swebench_a_suite_goes_on_and_the_command_that_installs_it_is_told(
    monkeypatch: pytest.MonkeyPatch, data_dir: Path, tmp_path: Path
) -> None:
    data = DatasetStore(tmp_path, data_dir)
    monkeypatch.setattr("stackbench.benchmarks.swebench.official.version", lambda name: "4.1.0")
    with pytest.raises(
        DataNotAvailableError, match=r"5.0.2 or later, and 4.1.0 is installed; run: .*pip install .*\[swe\]"
    ):
        create_benchmark("swebench", {}).tasks(data)


def test_an_unknown_log_parser_is_named() -> None:
    with pytest.raises(UsageError, match="swebench .* has no log parser 'parse_log_none'"):
        grade_log("x", {"FAIL_TO_PASS": ["t"], "PASS_TO_PASS": []}, "parse_log_none", "pass_and_fail", "")
