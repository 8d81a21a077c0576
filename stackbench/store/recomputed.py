"""Figures of a run computed again by SQL alone, from its attempts: the second path beside the benchmarks' own code."""

from __future__ import annotations

import re
from dataclasses import dataclass

from stackbench.store.query import Queries

__all__ = ["SqlFigure", "figure_by_sql"]

PASS_AT = re.compile(r"(?P<prefix>base_)?pass@(?P<k>[1-9]\d{0,3})(?:_(?P<how>[a-z_]+))?")
PASS_HAT = re.compile(r"pass\^(?P<k>[1-9]\d{0,3})")
EXACT_MATCH = re.compile(r"exact_match_(?P<how>[a-z_]+)")
TASKS = """
WITH tasks AS (
    SELECT task_id, any_value(category) AS category, count(*) AS n, count(*) FILTER ({verdict}) AS c
    FROM attempts WHERE run_id = ? AND benchmark = ? AND status = 'completed' AND {category} GROUP BY task_id
)
"""
PASSED = "coalesce(passed, false)"
FIELD = "coalesce(metrics ->> '$.{name}', '') = 'true'"
ALL = "true"
SHARES = """
SELECT avg(x), count(*), min(n), max(n) FROM (
    SELECT n, CASE WHEN n - c < {k} THEN 1.0
        ELSE 1.0 - coalesce(list_aggregate(
            list_transform(range(n - c + 1, n + 1), lambda i: 1.0 - {k} / i), 'product'
        ), 1.0) END AS x
    FROM tasks
)
"""
HATS = """
SELECT avg(x), count(*), min(n), max(n) FROM (
    SELECT n, list_aggregate(list_transform(range(0, {k}), lambda i: greatest(c - i, 0) / (n - i)), 'product') AS x
    FROM tasks
)
"""
MACRO = """
SELECT avg(x), sum(n)::BIGINT, min(least), max(most) FROM (
    SELECT avg(c / n) AS x, count(*) AS n, min(n) AS least, max(n) AS most FROM tasks GROUP BY category
)
"""
WILSON = """
SELECT (p + z * z / (2 * n) - z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n),
    (p + z * z / (2 * n) + z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n)
FROM (SELECT ?::DOUBLE AS p, ?::DOUBLE AS n, 1.959963984540054 AS z)
"""
MEANS = {"acc", "completion"}
"""Metrics that are the mean over tasks of the share of their attempts that passed."""


@dataclass(frozen=True, slots=True)
class SqlFigure:
    """A value with the number of tasks behind it, and its interval where each task has one attempt."""

    value: float
    n: int
    ci_low: float | None
    ci_high: float | None


def figure_by_sql(
    queries: Queries, run_id: str, benchmark: str, name: str, category: str = "", *, clustered: bool = False
) -> SqlFigure | None:
    """A metric by SQL; None for one that is no pass@k, pass^k or mean of verdicts.

    `clustered`: the tasks come in clusters, so that Wilson's interval on them is not the metric's.
    """
    found = _statement(name, category)
    if found is None:
        return None
    sql, parameters = found
    ((value, n, least, most),) = queries.rows(sql, [run_id, benchmark, *parameters])
    if not n or value is None or least is None:
        return None
    if clustered or not least == most == 1 or name == "acc_macro":
        return SqlFigure(value, n, None, None)
    ((low, high),) = queries.rows(WILSON, [value, n])
    return SqlFigure(value, n, 0.0 if value <= 0 else low, 1.0 if value >= 1 else high)


def _statement(name: str, category: str) -> tuple[str, list[str]] | None:
    within, parameters = ("category = ?", [category]) if category else (ALL, list[str]())
    if name == "acc_macro":
        return TASKS.format(verdict=PASSED, category=within) + MACRO, parameters
    if name in MEANS:
        return TASKS.format(verdict=PASSED, category=within) + SHARES.format(k=1), parameters
    exact = EXACT_MATCH.fullmatch(name)
    if exact is not None:
        verdict = FIELD.format(name=exact["how"])
        return TASKS.format(verdict=verdict, category=within) + SHARES.format(k=1), parameters
    hat = PASS_HAT.fullmatch(name)
    if hat is not None:
        return TASKS.format(verdict=PASSED, category=within) + HATS.format(k=int(hat["k"])), parameters
    at = PASS_AT.fullmatch(name)
    if at is None:
        return None
    verdict = (
        FIELD.format(name="base_passed") if at["prefix"] else FIELD.format(name=at["how"]) if at["how"] else PASSED
    )
    return TASKS.format(verdict=verdict, category=within) + SHARES.format(k=int(at["k"])), parameters
