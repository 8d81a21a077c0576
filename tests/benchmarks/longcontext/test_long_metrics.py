"""Scores by family, length and depth, effective lengths with what is not decided, and their tables."""

from __future__ import annotations

import pytest

from stackbench.benchmarks.longcontext.long_metrics import effective_length, long_metrics
from stackbench.report.length_scores import effective_lines, family_rows, heat_map
from stackbench.types import AttemptSummary, FinishReason, Metric, Scored
from tests.benchmarks.scripted import summary


def attempts(
    scores: dict[int, float], *, each: int = 400, family: str = "needle", depth: float | None = None, cut: float = 0.0
) -> list[AttemptSummary]:
    """So many attempts at each length, of which a share is right and a share was cut."""
    found: list[AttemptSummary] = []
    for length, score in scores.items():
        for number in range(each):
            right = number < round(score * each)
            said = {"variant": f"{family}/x", "length": length, "depth": depth, "chance": 0.0}
            one = summary(
                f"{family}/{length}/{depth}/{number}", Scored(float(right), right, metrics=said), category=family
            )
            reason = FinishReason.LENGTH if number < round(cut * each) else FinishReason.STOP
            found.append(
                AttemptSummary(**{name: getattr(one, name) for name in one.__slots__} | {"finish_reason": reason})
            )
    return found


def named(found: list[Metric], name: str, category: str = "") -> Metric:
    (metric,) = [m for m in found if (m.name, m.category) == (name, category)]
    return metric


def test_both_effective_lengths_are_the_longest_up_to_which_all_pass() -> None:
    found = long_metrics(attempts({1024: 0.98, 4096: 0.95, 8192: 0.9, 16384: 0.5, 32768: 0.95}))
    ruler, nolima = named(found, "effective_length_ruler"), named(found, "effective_length_nolima")
    assert (ruler.value, ruler.ci_low, ruler.ci_high) == (8192, 8192, 8192)
    assert (nolima.value, nolima.ci_low, nolima.ci_high) == (8192, 8192, 8192)


def test_the_two_definitions_differ_where_the_models_own_score_is_low() -> None:
    found = long_metrics(attempts({1024: 0.6, 4096: 0.57, 8192: 0.3}))
    assert named(found, "effective_length_ruler").value == 0
    assert named(found, "effective_length_nolima").value == 4096


def test_an_interval_that_holds_the_threshold_leaves_the_length_undecided() -> None:
    found = long_metrics(attempts({1024: 1.0, 4096: 0.86, 8192: 0.4}, each=50))
    ruler = named(found, "effective_length_ruler")
    assert (ruler.value, ruler.ci_low, ruler.ci_high) == (4096, 1024, 4096)
    assert "effective length, RULER (mean >= 0.856): 4K (not decided: from 1K to 4K)" in effective_lines(found)


@pytest.mark.parametrize(
    ("passes", "expected"),
    [
        ([(False, False), (True, True)], (0, 0, 0)),
        ([(True, True), (True, None), (False, None), (False, False)], (2, 1, 3)),
        ([(True, True)] * 4, (4, 4, 4)),
    ],
)
def test_effective_length(passes: list[tuple[bool, bool | None]], expected: tuple[int, int, int]) -> None:
    assert effective_length(range(1, len(passes) + 1), passes) == expected


def test_families_weigh_alike_in_the_combined_score_and_each_has_its_own() -> None:
    found = long_metrics(attempts({1024: 1.0}, each=100) + attempts({1024: 0.5}, each=20, family="latent"))
    assert named(found, "score").value == pytest.approx(0.75)
    assert found[0].name == "score" and found[0].category == ""
    assert named(found, "score", "latent").value == named(found, "score", "latent@1K").value == 0.5
    assert named(found, "score", "needle@1K").n == 100
    combined = named(found, "score")
    assert combined.ci_low is not None and combined.ci_high is not None
    assert combined.ci_low < 0.75 < combined.ci_high


def test_few_tasks_have_no_interval_and_decide_nothing() -> None:
    few = attempts({1024: 1.0, 4096: 1.0}, each=2)
    few += attempts({1024: 1.0, 4096: 1.0}, each=2, family="latent")
    found = long_metrics(few)
    score = named(found, "score")
    assert (score.value, score.stderr, score.ci_low, score.ci_high, score.n) == (1.0, None, None, None, 8)
    ruler = named(found, "effective_length_ruler")
    assert (ruler.value, ruler.ci_low, ruler.ci_high) == (4096, 0, 4096)
    made = [one for depth in (0, 50, 100) for one in attempts({1024: 1.0}, each=2, depth=depth)]
    assert named(long_metrics(made), "middle_loss").ci_low is None


def test_truncated_answers_are_told_by_family_and_length() -> None:
    found = long_metrics(attempts({1024: 1.0, 4096: 0.5}, each=20, cut=0.1))
    assert named(found, "truncated").value == named(found, "truncated", "needle@4K").value == pytest.approx(0.1)


def test_position_bias_is_the_ends_less_the_middle() -> None:
    made = [one for depth, score in ((0, 1.0), (50, 0.5), (100, 1.0)) for one in attempts({1024: score}, depth=depth)]
    loss = named(long_metrics(made), "middle_loss")
    assert loss.value == pytest.approx(0.5) and loss.ci_low is not None and loss.ci_low > 0.4


def test_the_heat_map_and_the_table_show_each_cell() -> None:
    made = [one for depth, score in ((0, 1.0), (50, 0.5)) for one in attempts({1024: 1.0, 4096: score}, depth=depth)]
    found = long_metrics(made)
    lines = heat_map(found)
    assert [line.split() for line in lines] == [["depth", "1K", "4K"], ["0%", "@100", "@100"], ["50%", "@100", "+50"]]
    lengths, rows = family_rows(found)
    assert (lengths, rows) == (["1K", "4K"], [("needle", ["1.00", "0.75"]), ("all", ["1.00", "0.75"])])
    assert long_metrics([]) == [] and heat_map([]) == []
