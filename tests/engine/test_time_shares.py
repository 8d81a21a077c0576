from __future__ import annotations

import pytest

from stackbench.engine.time_shares import TimeShares


def test_each_moment_is_divided_among_the_attempts_under_way() -> None:
    now = [0.0]
    shares = TimeShares(lambda: now[0])
    first = shares.begin("a")
    now[0] = 10.0
    second, third = shares.begin("b"), shares.begin("b")
    now[0] = 16.0
    shares.end("a", first, counted=True)
    now[0] = 20.0
    shares.end("b", second, counted=True)
    shares.end("b", third, counted=False)
    now[0] = 99.0
    fourth = shares.begin("a")
    now[0] = 100.0
    shares.end("a", fourth, counted=True)
    assert shares.seconds == {"a": pytest.approx(10 + 2 + 1), "b": pytest.approx(4 + 4)}
    assert shares.ended == {"a": 2, "b": 1}
    assert shares.longest_s == {"a": 16.0, "b": 10.0}
