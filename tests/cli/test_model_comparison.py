from __future__ import annotations

from pathlib import Path

from stackbench.cli.model_comparison import comparison_document, read_comparison
from stackbench.config import Home
from tests.written_runs import write_run


def test_models_whose_paired_interval_holds_0_share_a_rank(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for minutes, (name, passed) in enumerate({"good": 400, "poor": 250, "alike": 396, "worst": 248}.items()):
        scores = {f"gsm8k/{n}": [n < passed] for n in range(500)}
        found = write_run(home, f"r-{name}", scores, model=name, minutes=minutes)
    scores = read_comparison(found, [(f"r-{name}", name) for name in ("good", "poor", "alike", "worst")])
    assert {score.model: score.rank for score in scores} == {"good": 1, "alike": 1, "poor": 3, "worst": 3}
    assert [row["rank"] for row in comparison_document(scores)] == [1, 3, 1, 3]
    assert all(row["to_first"]["p_value"] is not None for row in comparison_document(scores)[1:])


def test_too_few_tasks_have_no_p_value_and_no_interval(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for minutes, (name, passed) in enumerate({"good": 9, "poor": 2}.items()):
        scores = {f"gsm8k/{n}": [n < passed] for n in range(12)}
        home = write_run(tmp_path, f"r-{name}", scores, model=name, minutes=minutes)
    _, row = comparison_document(read_comparison(home, [("r-good", "good"), ("r-poor", "poor")]))
    assert [row["to_first"][key] for key in ("ci_low", "ci_high", "p_value")] == [None] * 3
    assert (row["to_first"]["tasks"], row["rank"]) == (12, None)
