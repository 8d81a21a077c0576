from __future__ import annotations

import pytest

from stackbench.stats.replicates import differ, outlying


@pytest.mark.parametrize(
    ("scores", "apart", "repeat"),
    [
        ({0: 0.50}, False, []),
        ({0: 0.50, 1: 0.52}, False, []),
        ({0: 0.50, 1: 0.521}, True, [0, 1]),
        ({0: 0.50, 1: 0.505, 2: 0.54}, True, [2]),
        ({0: 0.48, 1: 0.50, 2: 0.52}, True, [0, 2]),
    ],
)
def test_replicates_more_than_two_points_apart_are_repeated(
    scores: dict[int, float], apart: bool, repeat: list[int]
) -> None:
    assert differ(scores) is apart
    if apart:
        assert outlying(scores) == repeat
