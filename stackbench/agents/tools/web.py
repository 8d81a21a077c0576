"""`http_request` and `web_fetch`: HTTP from inside the sandbox, through its own curl."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, ClassVar, Literal
from urllib.parse import urlencode, urlsplit

from pydantic import Field

from stackbench.agents.tools.base import Parameters, ToolOutcome, ToolRefusedError, Workspace
from stackbench.agents.tools.text import cut_middle
from stackbench.sandbox.records import Completed

__all__ = ["HttpRequestTool", "WebFetch"]

MOST_CHARACTERS = 50_000
RESPONSE_MIB = 16
FETCH_TIMEOUT_S = 30.0
MOST_REDIRECTS = 5
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""A token of RFC 9110, section 5.6.2."""
META = "stackbench-meta:"
WRITE_OUT = "%{stderr}\n" + META + "%{http_code} %{num_redirects} %{url_effective} %{content_type}\n"


class HttpRequestParameters(Parameters):
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    url: str = Field(description="http or https.")
    headers: dict[str, str] | None = Field(default=None, description="Request headers.")
    query: dict[str, str | int | float | bool] | None = Field(
        default=None, description="Query parameters, added to the url."
    )
    json_body: Any = Field(default=None, alias="json", description="A body to send as JSON.")
    body: str | None = Field(default=None, description="A body to send as it is.")
    timeout: float = Field(default=30, gt=0, le=600, description="Seconds.")


class HttpRequestTool:
    """Implements `Tool`."""

    name: ClassVar[str] = "http_request"
    description: ClassVar[str] = (
        "Make one HTTP request; answers with status, headers and body. Redirects are not followed."
    )
    parameters: ClassVar[type[Parameters]] = HttpRequestParameters
    read_only: ClassVar[bool] = False

    async def call(self, asked: HttpRequestParameters, workspace: Workspace) -> ToolOutcome:
        if asked.json_body is not None and asked.body is not None:
            raise ToolRefusedError("give json or body, not both")
        headers = dict(asked.headers or {})
        data = asked.body.encode() if asked.body is not None else b""
        if asked.json_body is not None:
            data = json.dumps(asked.json_body).encode()
            if not any(name.lower() == "content-type" for name in headers):
                headers["Content-Type"] = "application/json"
        arguments = ["curl", "-sS", "-i", "--max-time", f"{asked.timeout:g}"]
        arguments += ["--head"] if asked.method == "HEAD" else ["--request", asked.method]
        arguments += _header_flags(headers)
        if data:
            arguments += ["--data-binary", "@-"]
        arguments += ["--url", _url(asked.url, asked.query)]
        done = await _curl(workspace, arguments, data, asked.timeout)
        if done.exit_code and not done.stdout:
            raise ToolRefusedError(_problem(done, asked.url))
        status, text, body = _parts(done.stdout)
        shown = _body_text(body)
        cut = f"\n[the response ended early: {_problem(done, asked.url)}]" if done.exit_code else ""
        return ToolOutcome(
            f"{text}\n\n{cut_middle(shown, MOST_CHARACTERS)}{cut}".rstrip(),
            failed=bool(done.exit_code),
            details={"status": status, "bytes": len(body)},
        )


class WebFetchParameters(Parameters):
    url: str = Field(description="http or https.")
    extract_mode: Literal["markdown", "text"] = Field(default="markdown", alias="extractMode")
    max_chars: int = Field(default=MOST_CHARACTERS, ge=100, le=MOST_CHARACTERS, alias="maxChars")


class WebFetch:
    """Implements `Tool`."""

    name: ClassVar[str] = "web_fetch"
    description: ClassVar[str] = "Fetch a page and give its readable content, as markdown or text."
    parameters: ClassVar[type[Parameters]] = WebFetchParameters
    read_only: ClassVar[bool] = True

    async def call(self, asked: WebFetchParameters, workspace: Workspace) -> ToolOutcome:
        arguments = ["curl", "-sS", "--location", "--max-redirs", str(MOST_REDIRECTS), "--compressed"]
        arguments += ["--proto", "=http,https", "--proto-redir", "=http,https", "--max-time", f"{FETCH_TIMEOUT_S:g}"]
        arguments += ["--write-out", WRITE_OUT, "--url", _url(asked.url, None)]
        done = await _curl(workspace, arguments, b"", FETCH_TIMEOUT_S)
        status, redirects, final, kind = _meta(done)
        if done.exit_code and not (status and done.stdout):
            raise ToolRefusedError(_problem(done, asked.url))
        text = _readable(done.stdout, kind, asked.extract_mode)
        left = len(text) - asked.max_chars
        if left > 0:
            text = f"{text[: asked.max_chars]}\n[... {left} more characters; maxChars is {asked.max_chars}]"
        head = f"[HTTP {status}]\n" if status >= 400 else ""
        moved = f"[redirected to {final}]\n" if redirects else ""
        cut = f"\n[the page ended early: {_problem(done, asked.url)}]" if done.exit_code else ""
        details = {"status": status, "url": final, "content_type": kind, "bytes": len(done.stdout)}
        return ToolOutcome(f"{head}{moved}{text}{cut}", failed=status >= 400 or bool(done.exit_code), details=details)


# -- curl


async def _curl(workspace: Workspace, arguments: Sequence[str], data: bytes, timeout_s: float) -> Completed:
    return await workspace.session.run(arguments, stdin=data or None, timeout_s=timeout_s + 5, output_mib=RESPONSE_MIB)


def _url(url: str, query: dict[str, Any] | None) -> str:
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ToolRefusedError(f"{url} is no http or https address")
    if any(ord(character) <= 32 for character in url.strip()):
        raise ToolRefusedError(f"{url} holds white space; encode it")
    if not query:
        return url.strip()
    pairs = {name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()}
    joined = "&" if parts.query else "?"
    address, hash_mark, fragment = url.strip().partition("#")
    return f"{address}{joined}{urlencode(pairs)}{hash_mark}{fragment}"


def _header_flags(headers: dict[str, str]) -> list[str]:
    flags: list[str] = []
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name) or any(character in value for character in "\r\n\0"):
            raise ToolRefusedError(f"{name!r} is no header")
        # curl takes "Name;" for a header without a value.
        flags += ["--header", f"{name}: {value}" if value.strip() else f"{name};"]
    return flags


def _problem(done: Completed, url: str) -> str:
    lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line and not line.startswith(META)]
    said = lines[-1].removeprefix("curl: ") if lines else f"curl ended with code {done.exit_code}"
    if done.reason != "ended":
        said = done.reason
    return f"{url}: {said}"


def _parts(output: bytes) -> tuple[int, str, bytes]:
    """Status, head and body of the last response in curl's output: an interim one (100 Continue) may stand before."""
    while True:
        head, _, body = output.partition(b"\r\n\r\n")
        first = head.split(b"\r\n", 1)[0].decode("latin-1")
        match = re.match(r"HTTP/[\d.]+ (\d{3})", first)
        status = int(match.group(1)) if match else 0
        if 100 <= status < 200 and body.startswith(b"HTTP/"):
            output = body
            continue
        return status, head.decode("latin-1").replace("\r\n", "\n"), body


def _meta(done: Completed) -> tuple[int, int, str, str]:
    for line in reversed(done.stderr.decode(errors="replace").splitlines()):
        if line.startswith(META):
            status, redirects, final, *kind = line.removeprefix(META).split(" ", 3)
            return int(status), int(redirects), final, kind[0] if kind else ""
    return 0, 0, "", ""


# -- content


def _body_text(body: bytes) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return f"[{len(body)} bytes that are no text]"
    return f"[{len(body)} bytes that are no text]" if "\0" in text else text


def _readable(body: bytes, kind: str, mode: str) -> str:
    text = _body_text(body)
    if "html" in kind.lower() or (not kind and text.lstrip()[:15].lower().startswith(("<!doctype", "<html"))):
        return _page(text, mode)
    if "json" in kind.lower():
        try:
            return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
        except ValueError:
            return text
    return text


def _page(html: str, mode: str) -> str:
    """The page's title and main part, without scripts, styles and navigation."""
    from bs4 import BeautifulSoup

    page = BeautifulSoup(html, "html.parser")
    title = page.title.get_text(strip=True) if page.title else ""
    for element in page(["script", "style", "noscript", "template", "nav", "header", "footer", "svg", "head"]):
        element.decompose()
    main = page.find("main") or page.find("article") or page.body or page
    if mode == "text":
        content = main.get_text("\n", strip=True)
    else:
        from markdownify import markdownify

        content = markdownify(str(main), heading_style="ATX")
    content = re.sub(r"[ \t]+\n", "\n", content)
    content = re.sub(r"\n{3,}", "\n\n", content).strip()
    return f"# {title}\n\n{content}" if title and mode == "markdown" else f"{title}\n\n{content}" if title else content
