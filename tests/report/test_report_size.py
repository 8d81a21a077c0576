"""A run of HumanEval with 100 attempts at each task: 16,400 attempts."""

from __future__ import annotations

import time
from pathlib import Path

from stackbench.report.write_report import ReportWriter
from tests.report.recorded_results import Part, collected, make_home, record_run

REPORT_S, PDF_S = 10.0, 20.0


def test_a_report_of_16400_attempts_is_quick(tmp_path: Path) -> None:
    """In processor time, so that what else runs on the machine does not count."""
    home = make_home(tmp_path / "home")
    record_run(home, parts=[Part(tasks=164, attempts=100, texts="def add(a, b):\n    return a + b\n" * 10)])
    began = time.process_time()
    results = collected(home)
    list(ReportWriter(results, tmp_path / "out", ("markdown", "html", "xlsx", "plots")).write())
    assert time.process_time() - began < REPORT_S
    (one,) = results.runs[0].benchmarks
    assert (one.attempts, len(one.tasks), one.pass_at_k[-1].k) == (16_400, 164, 100)
    began = time.process_time()
    list(ReportWriter(results, tmp_path / "out", ("pdf",)).write())
    assert time.process_time() - began < PDF_S
