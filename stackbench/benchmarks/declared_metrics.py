"""What a benchmark says of its metrics before a run, so that a gate on one that cannot be is refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from stackbench.types import Task

__all__ = [
    "CategorisedMetrics",
    "DeclaredMetrics",
    "MetricKind",
    "amounts",
    "fractions",
    "kind_of",
    "pass_at",
    "shares",
]


@dataclass(frozen=True, slots=True)
class MetricKind:
    """One metric, or a family of them with `K` in place of a number of attempts (`pass@K`)."""

    name: str
    ks: tuple[int, ...] = ()
    """The numbers that `K` may be; empty: any from 2 on."""
    at_most: float | None = 1.0
    """The largest value; None: it is an amount. The least is 0."""
    counted: bool = True
    """Whether it is a share of whole units, of which a few are told as `3 of 5`; a mean of fractions and a ratio of
    sums are not: `2 of 4` would be made up where four units have a half each."""
    interval: bool = True
    """Whether it has a confidence interval."""
    whole: bool = True
    """Whether it comes for the whole benchmark."""
    by_category: bool = False
    """Whether it comes for each category."""

    def attempts_of(self, name: str) -> int | None:
        """The attempts per task that the metric of that name needs; None where it is none of this kind."""
        if "K" not in self.name:
            return 1 if name == self.name else None
        before, after = self.name.split("K")
        found = re.fullmatch(f"{re.escape(before)}([1-9][0-9]{{0,5}}){re.escape(after)}", name)
        if found is None:
            return None
        k = int(found[1])
        return k if (k in self.ks if self.ks else k > 1) else None

    def names(self) -> list[str]:
        """As a message lists them."""
        return [self.name.replace("K", str(k)) for k in self.ks] or [self.name]


@runtime_checkable
class DeclaredMetrics(Protocol):
    """A benchmark that tells which metrics it can have."""

    metric_kinds: ClassVar[Sequence[MetricKind]]


@runtime_checkable
class CategorisedMetrics(Protocol):
    """A benchmark with metrics of single categories."""

    def metric_categories(self, tasks: Sequence[Task]) -> set[str]:
        """The categories that metrics of these tasks come in."""
        ...


def pass_at(ks: Iterable[int], prefix: str = "", suffix: str = "") -> MetricKind:
    """pass@k for these numbers of attempts."""
    return MetricKind(f"{prefix}pass@K{suffix}", tuple(ks))


def shares(*names: str, by_category: bool = False) -> list[MetricKind]:
    """Metrics from 0 to 1 that a unit has or has not."""
    return [MetricKind(name, by_category=by_category) for name in names]


def fractions(*names: str, by_category: bool = False) -> list[MetricKind]:
    """Metrics from 0 to 1 of which a unit may have any part: means of shares within tasks, ratios of sums."""
    return [MetricKind(name, counted=False, by_category=by_category) for name in names]


def amounts(*names: str) -> list[MetricKind]:
    """Metrics from 0 on: seconds, counts."""
    return [MetricKind(name, at_most=None) for name in names]


def kind_of(kinds: Iterable[MetricKind], name: str) -> tuple[MetricKind, int] | None:
    """The kind that a metric's name is of, and the attempts per task that it needs."""
    for kind in kinds:
        needed = kind.attempts_of(name)
        if needed is not None:
            return kind, needed
    return None
