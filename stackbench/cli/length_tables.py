"""How the screen shows scores by length of context: families by length, and a heat map of depths."""

from __future__ import annotations

from rich.console import Group, RenderableType

from stackbench.cli.console import fits, make_table, shown
from stackbench.report.length_scores import effective_lines, family_rows, has_lengths, heat_map
from stackbench.store import BenchmarkResult

__all__ = ["is_by_length", "length_tables"]


def is_by_length(result: BenchmarkResult) -> bool:
    """Whether a result's metrics are by length of context."""
    return has_lengths(result.metrics)


def length_tables(result: BenchmarkResult) -> RenderableType:
    """Families by length, a heat map, effective lengths. What does not fit as a table is a list."""
    lengths, rows = family_rows(result.metrics)
    table = make_table(["score", *lengths], [(name, *cells) for name, cells in rows], right=lengths)
    parts: list[RenderableType] = ["", shown(f"{result.benchmark}, scores by length", "bold")]
    if fits(table):
        parts.append(table)
    else:
        parts += [
            shown(f"{name}: {', '.join(f'{at} {cell}' for at, cell in zip(lengths, cells, strict=True))}")
            for name, cells in rows
        ]
    lines = heat_map(result.metrics)
    if lines:
        parts.append(shown("depth of the evidence by length, score in percent:"))
        parts += [shown(line) for line in lines]
    parts += [shown(line) for line in effective_lines(result.metrics)]
    return Group(*parts)
