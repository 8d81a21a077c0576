"""The two streams: results on stdout, progress and notices on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["err", "fits", "make_table", "notice", "out", "print_json", "print_table", "write_bytes"]

WIDE = 200


def out() -> Console:
    """Standard output; a pipe gets wide lines rather than folded ones."""
    return Console(width=_width(sys.stdout), highlight=False, soft_wrap=not sys.stdout.isatty())


def err() -> Console:
    """Standard error."""
    return Console(stderr=True, highlight=False, width=_width(sys.stderr))


def _width(stream: TextIO) -> int | None:
    """Columns of what is no terminal; None where rich finds out by itself."""
    return None if stream.isatty() or os.environ.get("COLUMNS", "").isdigit() else WIDE


def notice(line: str) -> None:
    """One line for the operator."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def make_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], right: Sequence[str] = (), whole: Sequence[str] = ()
) -> Table:
    """A table without a frame; columns named in `right` are aligned right, those in `whole` never folded."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(
            column, justify="right" if column in right else "left", overflow="fold", no_wrap=column in whole
        )
    for row in rows:
        table.add_row(*("" if cell is None else escape(str(cell)) for cell in row))
    return table


def fits(table: Table) -> bool:
    """Whether standard output has room for the table without a cell that is folded or cut."""
    console = out()
    wanted = table.__rich_measure__(console, console.options.update(max_width=10_000)).maximum
    return wanted <= console.width


def escape(text: str) -> str:
    """Text that rich prints as it is."""
    from rich.markup import escape as rich_escape

    return rich_escape(text)


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
    *,
    or_list: bool = False,
) -> None:
    """Prints a table; with `or_list`, one without room is a list: a row's first cell, then the others by heading."""
    rows = list(rows)
    table = make_table(columns, rows, right, whole)
    if not or_list or fits(table):
        out().print(table)
        return
    for first, *cells in rows:
        out().print(Text(str(first), style="bold"))
        told = [f"{name} {cell}" for name, cell in zip(columns[1:], cells, strict=True) if cell not in (None, "")]
        out().print(Text(f"  {', '.join(told)}"))


def print_json(document: Any) -> None:
    """Exactly one JSON document on standard output."""
    sys.stdout.write(json.dumps(document, indent=2, default=str) + "\n")
    sys.stdout.flush()


def write_bytes(data: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
