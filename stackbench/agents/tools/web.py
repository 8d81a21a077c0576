"""`http_request` and `web_fetch`: HTTP from inside the sandbox, through its own curl."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, ClassVar, Literal
from urllib.parse import urlencode, urlsplit

from pydantic import Field

from stackbench import nesting
from stackbench.agents.tools.base import Parameters, ToolOutcome, ToolRefusedError, Workspace
from stackbench.agents.tools.pages import MOST_HTML, read_page
from stackbench.agents.tools.text import cut_middle
from stackbench.sandbox.records import Completed

__all__ = ["HttpRequestTool", "WebFetch"]

MOST_CHARACTERS = 50_000
MOST_PAGE = 20_000
RESPONSE_MIB = 8
MOST_HEAD = 16_000
MOST_ADDRESS = 2000
LARGEST_INDENTED = 1 << 18
"""Of JSON that is laid out anew: each level in depth makes every line longer."""
FETCH_TIMEOUT_S = 30.0
MOST_REDIRECTS = 3
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""A token of RFC 9110, section 5.6.2."""
META = "stackbench-meta:"
META_LINE = re.compile(r"stackbench-meta:(\d{3}) (\d{1,3}) (\S*) ?(.*)")
STATUS = re.compile(rb"HTTP/[\d.]{1,5} (\d{3})")
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
            f"{cut_middle(text, MOST_HEAD)}\n\n{cut_middle(shown, MOST_CHARACTERS)}{cut}".rstrip(),
            failed=bool(done.exit_code),
            details={"status": status, "bytes": len(body)},
        )


class WebFetchParameters(Parameters):
    url: str = Field(description="http or https.")
    extract_mode: Literal["markdown", "text"] = Field(default="markdown", alias="extractMode")
    max_chars: int = Field(default=MOST_PAGE, ge=100, alias="maxChars", description=f"{MOST_PAGE} at most.")

    @property
    def most(self) -> int:
        """The characters that are given."""
        return min(self.max_chars, MOST_PAGE)


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
        text, length = await _readable(done.stdout, kind, asked)
        left = length - asked.most
        if left > 0:
            text = f"{text[: asked.most]}\n[... {left} more characters; maxChars is {asked.most}]"
        head = f"[HTTP {status}]\n" if status >= 400 else ""
        moved = f"[redirected to {final}]\n" if redirects else ""
        cut = f"\n[the page ended early: {_problem(done, asked.url)}]" if done.exit_code else ""
        details = {"status": status, "url": final, "content_type": kind, "bytes": len(done.stdout)}
        return ToolOutcome(f"{head}{moved}{text}{cut}", failed=status >= 400 or bool(done.exit_code), details=details)


# -- curl


async def _curl(workspace: Workspace, arguments: Sequence[str], data: bytes, timeout_s: float) -> Completed:
    return await workspace.session.run(arguments, stdin=data or None, timeout_s=timeout_s + 5, output_mib=RESPONSE_MIB)


def _url(url: str, query: dict[str, Any] | None) -> str:
    try:
        parts = urlsplit(url.strip())
    except ValueError as error:
        raise ToolRefusedError(f"{url[:MOST_ADDRESS]} is no address: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ToolRefusedError(f"{url[:MOST_ADDRESS]} is no http or https address")
    if any(ord(character) <= 32 for character in url.strip()):
        raise ToolRefusedError(f"{url[:MOST_ADDRESS]} holds white space; encode it")
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
    return f"{url[:MOST_ADDRESS]}: {said[:MOST_ADDRESS]}"


def _parts(output: bytes) -> tuple[int, str, bytes]:
    """Status, head and body of the last response in curl's output: an interim one (100 Continue) may stand before."""
    at = 0
    while True:
        end = output.find(b"\r\n\r\n", at)
        end, body = (len(output), len(output)) if end < 0 else (end, end + 4)
        match = STATUS.match(output, at)
        status = int(match.group(1)) if match else 0
        if 100 <= status < 200 and output.startswith(b"HTTP/", body):
            at = body
            continue
        return status, output[at:end].decode("latin-1").replace("\r\n", "\n"), output[body:]


def _meta(done: Completed) -> tuple[int, int, str, str]:
    for line in reversed(done.stderr.decode(errors="replace").splitlines()):
        match = META_LINE.fullmatch(line)
        if match is not None:
            return int(match[1]), int(match[2]), match[3][:MOST_ADDRESS], match[4][:200]
    return 0, 0, "", ""


# -- content


def _body_text(body: bytes) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return f"[{len(body)} bytes that are no text]"
    return f"[{len(body)} bytes that are no text]" if "\0" in text else text


async def _readable(body: bytes, kind: str, asked: WebFetchParameters) -> tuple[str, int]:
    """What is to be read of a body, its first part at least, and how long all of it is. Raises ToolRefusedError."""
    text = _body_text(body)
    if "html" in kind.lower() or (not kind and text[:1000].lstrip()[:15].lower().startswith(("<!doctype", "<html"))):
        read, length = await read_page(text, asked.extract_mode, asked.most)
        if len(text) > MOST_HTML and length <= asked.most:
            read += f"\n[only the first {MOST_HTML} characters of the page were read]"
        return read, length
    if "json" in kind.lower() and len(text) <= LARGEST_INDENTED:
        with suppress(ValueError):
            text = json.dumps(nesting.loads(text), indent=2, ensure_ascii=False)
    return text, len(text)
