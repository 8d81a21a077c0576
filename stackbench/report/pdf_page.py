"""A page as PDF by typst: PDF/UA-1 and PDF/A-2a at once, fonts embedded, the same bytes for the same page.

Needs typst and matplotlib (the extra `report`); of the latter the fonts that come with it, which hold the letters that
typst's own do not.
"""

# typst has no types of its exceptions, matplotlib has partial ones.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any, cast

from stackbench.errors import StackbenchError, one_line
from stackbench.nesting import is_object
from stackbench.report.document import Block, Page
from stackbench.report.glyphs import font_folder, printable

__all__ = ["STANDARDS", "pdf_page"]

STANDARDS: list[Any] = ["ua-1", "a-2a"]


def pdf_page(page: Page, svgs: Mapping[str, bytes], made_at: str) -> bytes:
    """Args:
        svgs: the pictures by name.
        made_at: `2026-11-26 12:00:00` UTC, which stands in the file as its date.

    Raises:
        ImportError: typst or matplotlib is not installed.
        StackbenchError: typst refuses the document.
    """
    import typst

    blocks = [_document(block) for block in page.blocks]
    document = _printable({"title": page.title, "description": page.description, "blocks": blocks})
    template = resources.files("stackbench.report").joinpath("report.typ").read_bytes()
    with tempfile.TemporaryDirectory(prefix="stackbench-report-") as name:
        folder = Path(name)
        (folder / "report.typ").write_bytes(template)
        for number, svg in enumerate(svgs.values()):
            (folder / f"{number}.svg").write_bytes(svg)
        _name_pictures(document["blocks"], list(svgs))
        (folder / "document.json").write_text(json.dumps(document), encoding="utf-8")
        try:
            made: Any = typst.compile(
                folder / "report.typ",
                root=folder,
                format="pdf",
                pdf_standards=STANDARDS,
                timestamp=int(datetime.fromisoformat(made_at).replace(tzinfo=UTC).timestamp()),
                ignore_system_fonts=True,
                font_paths=[font_folder()],
            )
        except RuntimeError as error:
            raise StackbenchError(f"the PDF cannot be made: {one_line(error)}") from error
    return bytes(made)


def _name_pictures(blocks: list[dict[str, Any]], names: list[str]) -> None:
    """Run ids and benchmarks' names are no names of files."""
    for block in blocks:
        if block["kind"] == "picture":
            block["name"] = str(names.index(block["name"]))


def _document(block: Block) -> dict[str, Any]:
    """A block as the template reads it."""
    return {"kind": type(block).__name__.lower(), **asdict(block)}


def _printable(value: Any) -> Any:
    """Texts as the fonts hold them: PDF/A refuses a missing letter."""
    if isinstance(value, str):
        return printable(value)
    if is_object(value):
        return {name: _printable(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(one) for one in cast("Iterable[Any]", value)]
    return value
