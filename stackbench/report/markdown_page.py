"""A page as Markdown of GitHub."""

from __future__ import annotations

import re
from collections.abc import Callable

from stackbench.report.document import Block, Bullets, Heading, Page, Paragraph, Picture, Table, Verbatim

__all__ = ["markdown_page"]

SPECIAL = re.compile(r"[\\`*<>#|~&$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|\](?=[(\[:])")
"""What GitHub takes for markup; an underscore within a word and a bracket without a link are none."""
FIRST = re.compile(r"([-+=]|\d+[.)])(?=\s|$)")
"""What begins a list or underlines a heading."""
TICKS = re.compile(r"`{3,}")


def markdown_page(page: Page, picture_path: Callable[[str], str]) -> str:
    """Args:
    picture_path: where a picture of that name lies, from the page.
    """
    return "\n\n".join(_block(block, picture_path) for block in page.blocks) + "\n"


def _block(block: Block, picture_path: Callable[[str], str]) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {_text(block.text)}"
    if isinstance(block, Paragraph):
        return f"**{_text(block.text)}**" if block.strong else _text(block.text)
    if isinstance(block, Bullets):
        return "\n".join(f"- {_text(item)}" for item in block.items)
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Picture):
        return f"![{_text(block.alt)}]({picture_path(block.name)})\n\n{_text(block.caption)}"
    return _verbatim(block)


def _table(block: Table) -> str:
    lines = [
        f"**{_text(block.caption)}**",
        "",
        f"| {' | '.join(_text(column.name) for column in block.columns)} |",
        f"| {' | '.join('---:' if column.right else '---' for column in block.columns)} |",
    ]
    lines += [f"| {' | '.join(map(_text, row))} |" for row in block.rows]
    return "\n".join(lines)


def _verbatim(block: Verbatim) -> str:
    longest = max((len(run) for run in TICKS.findall(block.text)), default=2)
    fence = "`" * (longest + 1)
    return f"{_text(block.label)}\n\n{fence}text\n{block.text}\n{fence}"


def _text(text: str) -> str:
    escaped = SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))
    return (
        FIRST.sub(lambda match: f"{match[0][:-1]}\\{match[0][-1]}", escaped, count=1)
        if FIRST.match(escaped)
        else escaped
    )
