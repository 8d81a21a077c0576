"""A page as one HTML file that needs nothing else: style, pictures and texts are inside, no script, no network."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from html import escape
from importlib import resources

from stackbench.report.document import Block, Bullets, Column, Heading, Page, Paragraph, Picture, Table

__all__ = ["html_page"]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Of the page itself: a browser loads nothing from elsewhere, whatever a text holds."""


def html_page(page: Page, svgs: Mapping[str, bytes]) -> str:
    """Args:
    svgs: the pictures by name.
    """
    style = resources.files("stackbench.report").joinpath("report_page.css").read_text(encoding="utf-8")
    sections = [block.text for block in page.blocks if isinstance(block, Heading) and block.level == 2]
    numbers = iter(range(1, len(sections) + 1))
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        f'<meta name="description" content="{escape(page.description)}">',
        f"<title>{escape(page.title)}</title>",
        f"<style>\n{style}</style>",
        "</head>",
        "<body>",
        "<main>",
    ]
    for block in page.blocks:
        parts += _block(block, svgs, numbers)
        if isinstance(block, Heading) and block.level == 1 and len(sections) > 1:
            parts += _contents(sections)
    return "\n".join([*parts, "</main>", "</body>", "</html>", ""])


def _contents(sections: list[str]) -> list[str]:
    links = [f'<li><a href="#s{number}">{escape(text)}</a></li>' for number, text in enumerate(sections, 1)]
    return ['<nav aria-label="Contents">', "<strong>Contents</strong>", "<ol>", *links, "</ol>", "</nav>"]


def _block(block: Block, svgs: Mapping[str, bytes], numbers: Iterator[int]) -> list[str]:
    if isinstance(block, Heading):
        anchor = f' id="s{next(numbers)}"' if block.level == 2 else ""
        return [f"<h{block.level}{anchor}>{escape(block.text)}</h{block.level}>"]
    if isinstance(block, Paragraph):
        text = escape(block.text)
        return [f"<p><strong>{text}</strong></p>" if block.strong else f"<p>{text}</p>"]
    if isinstance(block, Bullets):
        return ["<ul>", *(f"<li>{escape(item)}</li>" for item in block.items), "</ul>"]
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Picture):
        data = b64encode(svgs[block.name]).decode()
        return [
            "<figure>",
            f'<img alt="{escape(block.alt)}" src="data:image/svg+xml;base64,{data}">',
            f"<figcaption>{escape(block.caption)}</figcaption>",
            "</figure>",
        ]
    return [f'<p class="label">{escape(block.label)}</p>', f'<pre tabindex="0">{escape(block.text)}</pre>']


def _table(block: Table) -> list[str]:
    heads = "".join(f'<th scope="col"{_class(column)}>{escape(column.name)}</th>' for column in block.columns)
    rows = (
        f"<tr>{''.join(f'<td{_class(c)}>{escape(cell)}</td>' for c, cell in zip(block.columns, row, strict=True))}</tr>"
        for row in block.rows
    )
    return [
        f'<div class="scroll" role="region" aria-label="{escape(block.caption)}" tabindex="0">',
        "<table>",
        f"<caption>{escape(block.caption)}</caption>",
        f"<thead><tr>{heads}</tr></thead>",
        "<tbody>",
        *rows,
        "</tbody>",
        "</table>",
        "</div>",
    ]


def _class(column: Column) -> str:
    return ' class="right"' if column.right else ' class="wide"' if column.wide else ""
