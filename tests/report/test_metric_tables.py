from __future__ import annotations

from stackbench.report.headlines import counts, interval_text
from stackbench.report.metric_tables import latex_table, markdown_table
from stackbench.store import BenchmarkResult, PlannedBenchmark
from stackbench.types import Metric

PLANNED = PlannedBenchmark("a_b|c", 164, 164, 164, {"by": "all"})
RESULTS = [
    BenchmarkResult(
        "a_b|c", 164, 164, 3,
        (Metric("pass@1", 0.5, 0.039, 0.4234, 0.5766, 161), Metric("acc", 0.1, None, None, None, 5, category="stem")),
        161, planned=PLANNED,
    ),
    BenchmarkResult("speed", 1, 3, 0, (Metric("tok&s", 9.0, None, None, None, 3, low=8.5, high=10.0),), 1),
]  # fmt: skip


def test_markdown_has_the_denominators_and_takes_no_name_for_markup() -> None:
    assert markdown_table(RESULTS).splitlines() == [
        "| benchmark | tasks | errors | metric | value | 95% interval | stderr | n |",
        "| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: |",
        r"| a\_b\|c | 161 of 164 | 3 | pass@1 | 0.5000 | \[0.4234, 0.5766\] | 0.0390 | 161 |",
        "| speed | 1 of 1 | 0 | tok&s | 9.0000 | range 8.5000 to 10.0000 |  | 3 |",
    ]


def test_latex_has_the_rules_of_booktabs_and_escapes_names() -> None:
    assert latex_table(RESULTS).splitlines() == [
        r"\begin{tabular}{lrrlrrrr}",
        r"\toprule",
        r"benchmark & tasks & errors & metric & value & 95\% interval & stderr & n \\",
        r"\midrule",
        r"a\_b|c & 161 of 164 & 3 & pass@1 & 0.5000 & [0.4234, 0.5766] & 0.0390 & 161 \\",
        r"speed & 1 of 1 & 0 & tok\&s & 9.0000 & range 8.5000 to 10.0000 &  & 3 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_counts_stand_for_shares_alone() -> None:
    """An amount is no share, also where every attempt had 0 or 1 of it."""
    for benchmark, name, value, said in (
        ("tooluse", "completion", 1.0, "5 of 5"),
        ("tooluse", "malformed_call_rate", 0.0, "0 of 5"),
        ("tooluse", "malformed_call_rate", 0.4, ""),  # of a task's calls any part may be malformed
        ("longcontext", "score", 0.4, ""),
        ("longcontext", "score", 1.0, "5 of 5"),
        ("longcontext", "truncated", 0.4, "2 of 5"),
        ("swebench", "resolved", 0.4, "2 of 5"),
        ("swebench", "file_recall", 0.4, ""),
        ("voice", "pooled_entity_recovery", 0.4, ""),
        ("mbpp", "execution_accuracy", 0.4, ""),
        ("tooluse", "calls", 1.0, ""),
        ("tooluse", "tokens", 0.0, ""),
        ("humaneval", "pass@1", 0.6, "3 of 5"),
        ("humaneval", "pass@1", 0.61, ""),
        ("of-a-users-own-file", "acc", 0.6, "3 of 5"),
        ("of-a-users-own-file", "pass@10", 0.6, "3 of 5"),
        ("of-a-users-own-file", "words", 1.0, ""),
    ):
        metric = Metric(name, value, None, None, None, 5)
        assert counts(benchmark, metric) == said
        assert interval_text(benchmark, metric) == (f" {said}" if said else "")
        table = markdown_table([BenchmarkResult(benchmark, 5, 5, 0, (metric,), 5)])
        assert f" | {value:.4f} | {said} |  | 5 |" in table.splitlines()[-1]
