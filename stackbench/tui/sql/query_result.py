"""The rows of a query as the screen keeps them: a bounded number, with a column's width from what it holds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len

from stackbench.tui.safe_text import cut_line
from stackbench.tui.virtual_table import Cell, Column

__all__ = ["MOST_ROWS", "QueryResult", "Row", "read_result", "row_cells", "shown_value"]

MOST_ROWS = 10_000
"""Rows that the screen keeps; an export has all."""
WIDEST = 40
NARROWEST = 3
MEASURED = 200
"""Rows that a column's width is taken from."""

Row = Sequence[Any]


@dataclass(frozen=True, slots=True)
class QueryResult:
    """What a statement gave."""

    names: tuple[str, ...]
    rows: Sequence[Row]
    cut: bool
    """Whether there are more rows than are kept."""
    seconds: float

    def columns(self) -> list[Column]:
        """As wide as what they hold, within bounds; the last one takes what is left."""
        measured = self.rows[:MEASURED]
        made: list[Column] = []
        for number, name in enumerate(self.names):
            values = [row[number] for row in measured]
            widths = [cell_len(cut_line(shown_value(value), WIDEST)) for value in values]
            width = min(WIDEST, max(NARROWEST, cell_len(cut_line(name)), *widths, NARROWEST))
            last = number == len(self.names) - 1
            made.append(Column(name, width, right=self.is_numeric(number) and not last, grows=last))
        return made

    def is_numeric(self, number: int) -> bool:
        """Whether a column holds numbers and nothing else."""
        values = [row[number] for row in self.rows if row[number] is not None]
        return bool(values) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def read_result(answer: bytes, seconds: float) -> QueryResult:
    """From the rendered table, which was asked for with one row more than is kept."""
    table = json.loads(answer)
    rows = table["rows"]
    return QueryResult(tuple(table["columns"]), rows[:MOST_ROWS], len(rows) > MOST_ROWS, seconds)


def shown_value(value: Any) -> str:
    """A value as text."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def row_cells(row: Row) -> list[Cell]:
    """One cell for each value."""
    return [("NULL", "dim") if value is None else shown_value(value) for value in row]
