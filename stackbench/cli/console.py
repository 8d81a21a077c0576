"""The two streams: results on stdout, progress and notices on stderr; text of others as `visible_text` has it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from stackbench.cli.streams import displays_stream
from stackbench.visible_text import in_json, in_one_line, visible

__all__ = [
    "VisibleConsole",
    "err",
    "fits",
    "make_table",
    "notice",
    "out",
    "print_json",
    "print_json_line",
    "print_line",
    "print_table",
    "shown",
]

WIDE = 200


class VisibleConsole(Console):
    """A console that takes no text for markup, emoji names or links, and passes no control character on.

    Callers make text visible before it is laid out, which keeps columns straight; what they forget is visible too.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **settings)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        """Left to the stream; rich's own way is to exit with 1, which means a gate here."""


def out() -> Console:
    """Standard output; a pipe gets wide lines rather than folded ones."""
    return VisibleConsole(width=_width(sys.stdout), soft_wrap=not sys.stdout.isatty())


def err() -> Console:
    """Standard error."""
    return VisibleConsole(file=displays_stream(), width=_width(sys.stderr))


def _width(stream: TextIO) -> int | None:
    """Columns of what is no terminal; None where rich finds out by itself."""
    return None if stream.isatty() or os.environ.get("COLUMNS", "").isdigit() else WIDE


def notice(line: str) -> None:
    """One line for the operator."""
    sys.stderr.write(f"{in_one_line(line)}\n")
    sys.stderr.flush()


def print_line(line: object) -> None:
    """One line of results."""
    sys.stdout.write(f"{in_one_line(line)}\n")
    sys.stdout.flush()


def print_json_line(document: Any) -> None:
    """A JSON document on one line of standard output."""
    sys.stdout.write(in_json(json.dumps(document, default=str)) + "\n")
    sys.stdout.flush()


def shown(value: object, style: str = "", *, lines: bool = False, whole: bool = False) -> Text:
    """Data for the screen, as it is: no markup, no emoji names, nothing hidden; in one line unless `lines` is set.

    Every table, line of progress, transcript and list is made of these. A `whole` one is not folded: the terminal does
    that, so that a command in it can be copied (print it with `crop=False`).
    """
    text = visible(str(value)) if lines else in_one_line(value)
    return Text(text, style, no_wrap=True, overflow="ignore") if whole else Text(text, style)


def make_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], right: Sequence[str] = (), whole: Sequence[str] = ()
) -> Table:
    """A table without a frame; columns named in `right` are aligned right, those in `whole` never folded."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(
            shown(column),
            justify="right" if column in right else "left",
            overflow="fold",
            no_wrap=column in whole,
        )
    for row in rows:
        table.add_row(
            *("" if cell is None else cell if isinstance(cell, Text) else shown(cell, lines=True) for cell in row)
        )
    return table


def fits(table: Table) -> bool:
    """Whether standard output has room for the table without a cell that is folded or cut."""
    console = out()
    wanted = table.__rich_measure__(console, console.options.update(max_width=10_000)).maximum
    return wanted <= console.width


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
    *,
    or_list: bool = False,
    spare: Sequence[str] = (),
) -> None:
    """Prints a table; with `or_list`, one without room is a list: a row's first cell, then the others by heading.

    Columns named in `spare` are left out before that, one after the other, until there is room; a last line says so.
    """
    rows = list(rows)
    table = make_table(columns, rows, right, whole)
    left_out: list[str] = []
    for name in spare:
        if fits(table):
            break
        left_out.append(name)
        place = list(columns).index(name)
        columns = [*columns[:place], *columns[place + 1 :]]
        rows = [(*row[:place], *row[place + 1 :]) for row in rows]
        table = make_table(columns, rows, right, whole)
    if not or_list or fits(table):
        out().print(table)
    else:
        for first, *cells in rows:
            out().print(shown(first, "bold"))
            named = [f"{name} {cell}" for name, cell in zip(columns[1:], cells, strict=True) if cell not in (None, "")]
            out().print(shown(f"  {', '.join(named)}"))
    if left_out:
        out().print(shown(f"{' and '.join(left_out)}: on a wider terminal, or with --json", "dim"))


def print_json(document: Any) -> None:
    """Exactly one JSON document on standard output."""
    sys.stdout.write(in_json(json.dumps(document, indent=2, default=str)) + "\n")
    sys.stdout.flush()
