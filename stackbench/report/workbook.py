"""Tables as one workbook for spreadsheets (Office Open XML). Needs openpyxl (the extra `report`).

A spreadsheet takes a text that begins with `=` for a formula, holds 15 digits of a number, 32,767 characters in a cell
and 1,048,576 rows in a sheet, and XML has no control characters: texts are typed as texts, longer numbers become texts,
longer texts are cut with a note, further rows go on in another sheet, and control characters are written as `\\x1b`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

__all__ = ["CELL_CHARACTERS", "write_workbook"]

SHEET_ROWS = 1_048_576
CELL_CHARACTERS = 32_767
EXACT_INTEGER = 10**15
NO_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
FORMULA = re.compile("[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""Beginnings that make a spreadsheet take a cell for a formula when it is edited (OWASP, CSV injection)."""


def write_workbook(
    tables: Mapping[str, Iterable[Mapping[str, Any]]], to: BinaryIO, *, sheet_rows: int = SHEET_ROWS
) -> None:
    """Writes one sheet per table, its columns named in the first row; rows are not held in memory.

    Args:
        tables: by name, rows of JSON values under the same keys in the same order; a table without rows has no sheet.
        to: where the file goes.
        sheet_rows: rows of a sheet at most, the names' with them; a longer table goes on in `NAME 2`, `NAME 3`, ...

    Raises:
        ImportError: openpyxl is not installed.
    """
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    book = Workbook(write_only=True)
    for name, rows in tables.items():
        sheet: Any = None
        for number, row in enumerate(rows):
            sheet_number, place = divmod(number, sheet_rows - 1)
            if place == 0:
                sheet = book.create_sheet(name if sheet_number == 0 else f"{name} {sheet_number + 1}")
                sheet.freeze_panes = "A2"
                sheet.append(list(row))
            cells: list[Any] = []
            for value in row.values():
                value = _plain(value)
                if isinstance(value, str):
                    text = value
                    value = WriteOnlyCell(sheet, text)
                    value.data_type = "s"  # openpyxl reads a formula or an error out of "=1" and "#N/A"
                    if FORMULA.match(text):
                        value.quotePrefix = True  # type: ignore[attr-defined]  # as an apostrophe typed before it
                cells.append(value)
            sheet.append(cells)
    if not book.worksheets:
        book.create_sheet("empty")
    book.save(to)


def _plain(value: Any) -> str | int | float | bool | None:
    """A JSON value as a cell can hold it."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -EXACT_INTEGER < value < EXACT_INTEGER else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _cut(NO_XML.sub(_escape, text))


def _escape(match: re.Match[str]) -> str:
    point = ord(match[0])
    return rf"\x{point:02x}" if point < 0x100 else rf"\u{point:04x}"


def _cut(text: str) -> str:
    """At most `CELL_CHARACTERS`, which are units of UTF-16 to a spreadsheet."""
    if len(text) * 2 <= CELL_CHARACTERS:
        return text
    data = text.encode("utf-16-le")
    if len(data) // 2 <= CELL_CHARACTERS:
        return text
    note = f"\n[cut: {len(text):,} characters]"
    kept = data[: (CELL_CHARACTERS - len(note)) * 2].decode("utf-16-le", "ignore")  # not half of a pair
    return kept + note
