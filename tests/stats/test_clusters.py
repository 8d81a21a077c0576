"""The cluster-robust variance against its definition by matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from stackbench.stats.clusters import make_layout

SIZES = ([3, 2, 1, 4], [1] * 7, [5, 5], [40, 1, 1, 2])


def names_of(sizes: Sequence[int]) -> list[str]:
    return [f"c{index}" for index, size in enumerate(sizes) for _ in range(size)]


@pytest.mark.parametrize("sizes", SIZES)
def test_variance_is_cr2_of_a_regression_on_a_constant(sizes: list[int]) -> None:
    """Bell and McCaffrey 2002, equation 5: residuals of each cluster times (I - H)^(-1/2)."""
    values = np.random.default_rng(3).random(sum(sizes))
    names, n = np.array(names_of(sizes)), sum(sizes)
    expected = 0.0
    for name in dict.fromkeys(names):
        inside = names == name
        size = int(inside.sum())
        eigenvalues, vectors = np.linalg.eigh(np.eye(size) - np.ones((size, size)) / n)
        adjusted = vectors @ np.diag(eigenvalues**-0.5) @ vectors.T @ (values[inside] - values.mean())
        expected += float(adjusted.sum()) ** 2 / n**2
    assert float(make_layout(n, list(names)).variance(values)) == pytest.approx(expected)


@pytest.mark.parametrize("macro", [False, True])
@pytest.mark.parametrize("sizes", SIZES)
def test_degrees_of_freedom_are_satterthwaites(sizes: list[int], macro: bool) -> None:
    """trace(M)^2 / trace(M^2) for the quadratic form's matrix times the working covariance."""
    layout = make_layout(sum(sizes), names_of(sizes), weight_clusters=macro)
    share = layout.shares
    deviations = np.eye(len(share)) - np.outer(share, np.ones(len(share)))
    covariance = deviations @ np.diag(share**2) @ deviations.T
    form = np.diag(1 / (1 - share)) @ covariance
    assert layout.degrees_of_freedom() == pytest.approx(np.trace(form) ** 2 / np.trace(form @ form))


def test_equal_clusters_have_one_degree_less_than_there_are() -> None:
    assert make_layout(12, names_of([3] * 4)).degrees_of_freedom() == pytest.approx(3)
    assert make_layout(12).degrees_of_freedom() == pytest.approx(11)
    assert make_layout(12, names_of([9, 1, 1, 1])).degrees_of_freedom() < 1.5


def test_tasks_alone_have_the_textbook_variance() -> None:
    values = np.random.default_rng(4).random((3, 9))
    assert make_layout(9).variance(values) == pytest.approx(values.var(axis=1, ddof=1) / 9)


def test_tasks_are_worth_between_their_clusters_and_their_attempts() -> None:
    layout = make_layout(12, names_of([3] * 4))
    assert layout.least_n == pytest.approx(4)
    assert layout.most_n([5] * 12) == pytest.approx(60)
    assert make_layout(6, list("aaaaab")).least_n == pytest.approx(36 / 26)


def test_layout_wants_as_many_clusters_as_tasks() -> None:
    with pytest.raises(ValueError, match="equally many"):
        make_layout(3, ["a"])
    with pytest.raises(ValueError, match="not empty"):
        make_layout(0)
