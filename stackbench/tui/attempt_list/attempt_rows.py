"""The attempts of a run as rows of a table, fetched by key as they come into view; those of a live run grow."""

from __future__ import annotations

from collections.abc import Sequence

from stackbench.store.attempt_pages import (
    NO_END,
    PAGE_ROWS,
    AttemptFilter,
    AttemptLine,
    PageIndex,
    read_index,
    read_page,
    read_since,
)
from stackbench.tui.engine_link import EngineLink
from stackbench.tui.row_sources import PagedRows
from stackbench.tui.virtual_table import Cell, Column

__all__ = ["ATTEMPT_COLUMNS", "AttemptPages", "AttemptRows", "attempt_cells", "verdict_cell"]

ATTEMPT_COLUMNS = (
    Column("", 8),
    Column("benchmark", 10, needs=90),
    Column("task", 16, grows=True),
    Column("att", 3, right=True, needs=110),
    Column("seed", 4, right=True, needs=130),
    Column("time", 8, right=True),
    Column("tokens", 7, right=True, needs=70),
    Column("reason", 10, grows=True),
)


class AttemptPages:
    """Implements `Pages` for one filter."""

    size = PAGE_ROWS

    def __init__(self, link: EngineLink, run_id: str, wanted: AttemptFilter, index: PageIndex) -> None:
        self._link = link
        self._run_id = run_id
        self.wanted = wanted
        self._starts = list(index.starts)
        self.total = index.total
        self._last = index.last

    async def page(self, number: int) -> Sequence[AttemptLine]:
        start, wanted = self._starts[number], self.wanted
        end = self._starts[number + 1] if number + 1 < len(self._starts) else NO_END
        return await self._link.read(lambda queries: read_page(queries, self._run_id, wanted, start, end=end))

    async def grow(self) -> int:
        """Takes in what was committed since; how many rows."""
        last, wanted = self._last, self.wanted
        found = await self._link.read(lambda queries: read_since(queries, self._run_id, wanted, last))
        for line in found:
            if self.total % self.size == 0:
                self._starts.append(line.row)
            self.total += 1
        if found:
            self._last = found[-1].row
        return len(found)


class AttemptRows(PagedRows[AttemptLine]):
    """A run's attempts under a filter, the newest first."""

    def __init__(self, pages: AttemptPages, *, descending: bool = True) -> None:
        super().__init__(pages, descending=descending)
        self.pages = pages

    @classmethod
    async def open(
        cls, link: EngineLink, run_id: str, wanted: AttemptFilter, *, descending: bool = True
    ) -> AttemptRows:
        """Raises StoreError where the database cannot be read."""
        index = await link.read(lambda queries: read_index(queries, run_id, wanted))
        return cls(AttemptPages(link, run_id, wanted, index), descending=descending)


def verdict_cell(line: AttemptLine) -> Cell:
    """The verdict as a sign with a word."""
    if line.passed is None:
        return ("! error", "warn")
    if line.finish_reason == "length":
        return ("✓ cut", "good") if line.passed else ("✗ cut", "bad")
    return ("✓ passed", "good") if line.passed else ("✗ failed", "bad")


def attempt_cells(line: AttemptLine) -> list[Cell]:
    """One cell per column of `ATTEMPT_COLUMNS`."""
    return [
        verdict_cell(line),
        (line.key.benchmark, "dim"),
        line.key.task_id,
        str(line.key.attempt),
        str(line.key.seed),
        (f"{line.latency_s:.1f} s", "dim"),
        (str(line.completion_tokens), "dim"),
        line.reason,
    ]
