"""A page as Markdown of GitHub."""

from __future__ import annotations

import re
from collections.abc import Callable

from stackbench.report.document import Block, Bullets, Heading, Page, Paragraph, Picture, Table, Verbatim

__all__ = ["markdown_block", "markdown_page", "markdown_text"]

SPECIAL = re.compile(r"[\\`*<>#|~&$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|\](?=[(\[:])")
"""What GitHub takes for markup; an underscore within a word and a bracket without a link are none."""
FIRST = re.compile(r"([-+=]|\d+[.)])(?=\s|$)")
"""What begins a list or underlines a heading."""
TICKS = re.compile(r"`{3,}")


def markdown_page(page: Page, picture_path: Callable[[str], str]) -> str:
    """Args:
    picture_path: where a picture of that name lies, from the page.
    """
    return "\n\n".join(markdown_block(block, picture_path) for block in page.blocks) + "\n"


def markdown_block(block: Block, picture_path: Callable[[str], str] = lambda name: f"plots/{name}.svg") -> str:
    """One block."""
    if isinstance(block, Heading):
        return f"{'#' * block.level} {markdown_text(block.text)}"
    if isinstance(block, Paragraph):
        return f"**{markdown_text(block.text)}**" if block.strong else markdown_text(block.text)
    if isinstance(block, Bullets):
        return "\n".join(f"- {markdown_text(item)}" for item in block.items)
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Picture):
        return f"![{markdown_text(block.alt)}]({picture_path(block.name)})\n\n{markdown_text(block.caption)}"
    return _verbatim(block)


def _table(block: Table) -> str:
    lines = [
        f"**{markdown_text(block.caption)}**",
        "",
        f"| {' | '.join(_inline(column.name) for column in block.columns)} |",
        f"| {' | '.join('---:' if column.right else '---' for column in block.columns)} |",
    ]
    lines += [f"| {' | '.join(map(_inline, row))} |" for row in block.rows]
    return "\n".join(lines)


def _verbatim(block: Verbatim) -> str:
    longest = max((len(run) for run in TICKS.findall(block.text)), default=2)
    fence = "`" * (longest + 1)
    return f"{markdown_text(block.label)}\n\n{fence}text\n{block.text}\n{fence}"


def markdown_text(text: str) -> str:
    """A text as one line in which nothing is markup, at the start of a line or within one."""
    escaped = _inline(text)
    return (
        FIRST.sub(lambda match: f"{match[0][:-1]}\\{match[0][-1]}", escaped, count=1)
        if FIRST.match(escaped)
        else escaped
    )


def _inline(text: str) -> str:
    """For a cell, or within a line."""
    return SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))
