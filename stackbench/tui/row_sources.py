"""Where a table's rows come from: a list in memory, or pages of a query that are fetched as they come into view."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

__all__ = ["ListRows", "PagedRows", "Pages", "Rows"]

T = TypeVar("T")
R = TypeVar("R", covariant=True)
PAGES_HELD = 60


class Rows(Protocol[R]):
    """Rows by their position in the order that is shown."""

    @property
    def total(self) -> int: ...

    def held(self, position: int) -> R | None:
        """The row, where it is at hand."""
        ...

    async def fetch(self, first: int, last: int) -> None:
        """Makes these rows be at hand; `last` is included."""
        ...


class ListRows(Generic[T]):
    """Rows in memory."""

    def __init__(self, rows: Sequence[T] = ()) -> None:
        self.rows = rows

    @property
    def total(self) -> int:
        return len(self.rows)

    def held(self, position: int) -> T | None:
        return self.rows[position] if 0 <= position < len(self.rows) else None

    async def fetch(self, first: int, last: int) -> None:
        """All are at hand."""


class Pages(Protocol[R]):
    """A query in pages of equal size, each reached by the key that it begins at: no page costs more than another."""

    size: int
    """Rows of a page; the last one has fewer."""
    total: int

    async def page(self, number: int) -> Sequence[R]: ...


class PagedRows(Generic[T]):
    """Rows of a query; the pages looked at last are kept.

    `descending` shows the query's last row first: the pages of a table that grows stay what they are.
    """

    def __init__(self, pages: Pages[T], *, descending: bool = False) -> None:
        self.descending = descending
        self._pages = pages
        self._held: OrderedDict[int, Sequence[T]] = OrderedDict()

    @property
    def total(self) -> int:
        return self._pages.total

    def held(self, position: int) -> T | None:
        place = self._place(position)
        if place < 0 or place >= self.total:
            return None
        number, index = divmod(place, self._pages.size)
        page = self._held.get(number)
        return page[index] if page is not None and index < len(page) else None

    async def fetch(self, first: int, last: int) -> None:
        places = sorted((self._place(first), self._place(last)))
        low, high = max(0, places[0]), min(self.total - 1, places[1])
        wanted = range(low // self._pages.size, high // self._pages.size + 1)
        lacking = [number for number in wanted if self._lacks(number)]
        self._held.update(zip(lacking, await asyncio.gather(*map(self._pages.page, lacking)), strict=True))
        for number in wanted:
            self._held.move_to_end(number)
        while len(self._held) > PAGES_HELD:
            self._held.popitem(last=False)

    def _lacks(self, number: int) -> bool:
        """Whether a page is not at hand, or has grown."""
        page = self._held.get(number)
        return page is None or len(page) < min(self._pages.size, self.total - number * self._pages.size)

    def forget(self) -> None:
        """The rows have changed."""
        self._held.clear()

    def _place(self, position: int) -> int:
        return self.total - 1 - position if self.descending else position
