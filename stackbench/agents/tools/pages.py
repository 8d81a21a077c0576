"""Converts a fetched page to text in a separate process, so that a hostile page cannot affect this one."""

from __future__ import annotations

import re

from stackbench.agents.tools.base import ToolRefusedError

__all__ = ["MOST_HTML", "read_page"]

MOST_HTML = 1 << 19
"""Characters of a page that are looked at."""
MOST_S = 30.0
MEMORY = 1 << 30
BLANKS = re.compile(r"\s{200,}")
LEFT_OUT = ("script", "style", "noscript", "template", "nav", "header", "footer", "svg", "head")


async def read_page(html: str, mode: str, most: int) -> tuple[str, int]:
    """The first `most` characters of a page's title and main part, and how long all of it is.

    Scripts, styles and navigation are left out; `mode` is markdown or text. A page is parsed in a process of its own,
    because parsers of HTML are written in Python, some take time that grows with the square of a page's length, and
    the event loop must not wait for one.

    Raises:
        ToolRefusedError: it takes more than 30 s or 1 GiB of memory.
    """
    import anyio
    from anyio import to_process

    try:
        with anyio.fail_after(MOST_S):
            try:
                return await to_process.run_sync(readable, html[:MOST_HTML], mode, most, cancellable=True)
            except anyio.BrokenWorkerProcess:  # one that waited may have died since
                return await to_process.run_sync(readable, html[:MOST_HTML], mode, most, cancellable=True)
    except TimeoutError as error:
        problem = f"the page takes more than {MOST_S:g} s to read"
        raise ToolRefusedError(f"{problem}; http_request gives it as it is") from error
    except (anyio.BrokenWorkerProcess, MemoryError) as error:
        problem = f"the page takes more than {MEMORY >> 20} MiB of memory to read"
        raise ToolRefusedError(f"{problem}; http_request gives it as it is") from error


def readable(html: str, mode: str, most: int) -> tuple[str, int]:
    """As `read_page`, here; limits this process's memory for good. Raises MemoryError."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    try:
        text = _page(html, mode)
    except RecursionError:  # it is nested too deep for the converter; its bare text takes no recursion
        text = _page(html, "text")
    return text[:most], len(text)


def _page(html: str, mode: str) -> str:
    from bs4 import BeautifulSoup
    from bs4.exceptions import ParserRejectedMarkup

    # Blanks by the hundred mean nothing in a page, and cost the converter their number squared.
    html = BLANKS.sub(lambda run: "\n" if "\n" in run[0] else " ", html)
    try:
        page = BeautifulSoup(html, "html.parser")
    except ParserRejectedMarkup:
        return html
    title = page.title.get_text(strip=True) if page.title else ""
    for element in page(LEFT_OUT):
        element.decompose()
    main = page.find("main") or page.find("article") or page.body or page
    if mode == "text":
        content = main.get_text("\n", strip=True)
    else:
        from markdownify import markdownify

        content = markdownify(str(main), heading_style="ATX")
    content = "\n".join(line.rstrip(" \t") for line in content.split("\n"))
    content = re.sub(r"\n{3,}", "\n\n", content).strip()
    return f"# {title}\n\n{content}" if title and mode == "markdown" else f"{title}\n\n{content}" if title else content
