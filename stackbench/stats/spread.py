"""How much repeated measurements of one figure differ: over seeds, over attempts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev

__all__ = ["Spread", "spread"]


@dataclass(frozen=True, slots=True)
class Spread:
    """Replicates of one figure."""

    n: int
    mean: float
    median: float
    sd: float | None
    """The sample standard deviation, with n - 1; None for a single replicate, which has none."""
    low: float
    high: float

    @property
    def range(self) -> float:
        """The greatest less the least."""
        return self.high - self.low


def spread(values: Sequence[float]) -> Spread:
    """Mean, median, standard deviation and range of replicates. Raises ValueError for none."""
    if not values:
        raise ValueError("replicates must not be empty")
    return Spread(
        len(values),
        fmean(values),
        median(values),
        stdev(values) if len(values) > 1 else None,
        min(values),
        max(values),
    )
