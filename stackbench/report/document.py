"""A report as blocks - headings, paragraphs, tables, pictures, texts - that each output format lays out in its own way.

All words and numbers of a report are decided here and in the pages that make blocks; formats decide nothing but looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Block", "Bullets", "Column", "Heading", "Page", "Paragraph", "Picture", "Table", "Verbatim", "table"]


@dataclass(frozen=True, slots=True)
class Heading:
    """Level 1 is the page's title."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Plain text; `strong` for what must not be overlooked."""

    text: str
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Bullets:
    """One line each."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A column's name and side."""

    name: str
    right: bool = False
    wide: bool = False
    """Holds sentences: it takes what room is left."""


@dataclass(frozen=True, slots=True)
class Table:
    """Cells are finished texts."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A plot, by the name that `draw_plots` gave it."""

    name: str
    alt: str
    """What it shows, for readers who do not see it."""
    caption: str


@dataclass(frozen=True, slots=True)
class Verbatim:
    """A text of a model, a task or a program, as it is."""

    label: str
    text: str


Block = Heading | Paragraph | Bullets | Table | Picture | Verbatim


@dataclass(frozen=True, slots=True)
class Page:
    """One document."""

    title: str
    description: str
    blocks: tuple[Block, ...]


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Block]:
    """A table, or nothing without rows. A column's name ends with `>` where it stands right, `~` where it is wide."""
    if not rows:
        return []
    made = tuple(Column(name.rstrip(">~"), name.endswith(">"), name.endswith("~")) for name in columns)
    return [Table(caption, made, tuple(tuple(row) for row in rows))]
