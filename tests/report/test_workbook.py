from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import openpyxl
import pytest

from stackbench.report.workbook import CELL_CHARACTERS, write_workbook


def written(rows: Iterable[Mapping[str, Any]], **more: Any) -> openpyxl.Workbook:
    file = io.BytesIO()
    write_workbook({"attempts": rows}, file, **more)
    return openpyxl.load_workbook(file)


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        '=HYPERLINK("http://x", "y")',
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\n=1",
        "\uff1d1",
        "#N/A",
        "#REF!",
        "12",
        "2026-01-01",
        "TRUE",
    ],
)
def test_a_text_is_a_text_cell(text: str) -> None:
    cell = written([{"completion": text}])["attempts"]["A2"]
    assert (cell.value, cell.data_type) == (text, "s")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_a_text_that_begins_like_a_formula_stays_one_when_it_is_edited(text: str) -> None:
    assert written([{"completion": text}])["attempts"]["A2"].quotePrefix


@pytest.mark.parametrize(
    "value", [0, -3, 1.5, -2e-9, True, False, None, 999_999_999_999_999], ids=[*"abcdef", "null", "fifteen digits"]
)
def test_other_values_keep_their_type(value: object) -> None:
    found = written([{"value": value}])["attempts"]["A2"].value
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2**63 - 1, "9223372036854775807"),
        (-(10**30), str(-(10**30))),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        ({"a": [1, "ä"]}, '{"a": [1, "ä"]}'),
        (["=1"], '["=1"]'),
        ("a\x00b\x1b[31mc\x0b", r"a\x00b\x1b[31mc\x0b"),
        ("\ud800 \uffff \x9b", r"\ud800 \uffff \x9b"),
        ("two\nlines\tand ü 😀", "two\nlines\tand ü 😀"),
        ("<b>&amp;</b> ]]>", "<b>&amp;</b> ]]>"),
        (" kept ", " kept "),
    ],
)
def test_what_no_cell_holds_is_text(value: object, text: str) -> None:
    assert written([{"value": value}])["attempts"]["A2"].value == text


@pytest.mark.parametrize("letter", ["x", "é", "😀", "\x1b"])
@pytest.mark.parametrize("letters", [CELL_CHARACTERS, CELL_CHARACTERS + 1, 3 * CELL_CHARACTERS])
def test_long_texts_are_cut_with_a_note(letter: str, letters: int) -> None:
    value = written([{"completion": letter * letters}])["attempts"]["A2"].value
    assert len(value.encode("utf-16-le")) // 2 <= CELL_CHARACTERS
    if letter in "xé" and letters == CELL_CHARACTERS:
        assert value == letter * letters
    else:
        assert value.endswith(" characters]")


def test_more_rows_than_a_sheet_holds_go_on_in_another() -> None:
    book = written(({"n": n} for n in range(7)), sheet_rows=4)
    assert {name: list(book[name].values) for name in book.sheetnames} == {
        "attempts": [("n",), (0,), (1,), (2,)],
        "attempts 2": [("n",), (3,), (4,), (5,)],
        "attempts 3": [("n",), (6,)],
    }


def test_no_rows_are_a_workbook_too() -> None:
    assert len(written([]).sheetnames) == 1


def test_without_openpyxl_it_is_an_import_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(ImportError):
        write_workbook({}, io.BytesIO())
