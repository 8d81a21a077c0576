"""Another way to the same end: a solution with its files and requests made by command lines."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Mapping
from shlex import quote
from typing import Any
from urllib.parse import urlencode

from stackbench.benchmarks.tooluse.scenario.scenario import OracleCall

__all__ = ["by_shell"]

EDIT = """\
import sys
path, *texts = sys.argv[1:]
with open(path, newline="") as file:
    content = file.read()
for old, new in zip(texts[::2], texts[1::2]):
    content = content.replace(old, new, 1)
with open(path, "w", newline="") as file:
    file.write(content)
"""
Arguments = Mapping[str, Any]


def by_shell(call: OracleCall) -> OracleCall:
    """The call as one of `exec`, where it is of a tool for files or requests; others stay as they are."""
    line = LINES.get(call.tool)
    if line is None:
        return call
    return OracleCall(tool="exec", arguments={"command": line(call.arguments)}, save=call.save, together=call.together)


def _read(given: Arguments) -> str:
    path, first, most = quote(str(given["path"])), given.get("offset"), given.get("limit")
    line = f"sed -n '{first},{first + most - 1 if most else '$'}p' {path}" if first else f"cat {path}"
    return f"{line} 2> /dev/null; true" if given.get("optional") else line


def _write(given: Arguments) -> str:
    path = str(given["path"])
    folder = posixpath.dirname(path)
    made = f"mkdir -p {quote(folder)} && " if folder else ""
    return f"{made}printf %s {quote(str(given['content']))} > {quote(path)}"


def _edit(given: Arguments) -> str:
    texts = [str(one[name]) for one in given.get("edits", [given]) for name in ("oldText", "newText")]
    return f"python3 -c {quote(EDIT)} {quote(str(given['path']))} {' '.join(map(quote, texts))}"


def _request(given: Arguments) -> str:
    url, method = str(given["url"]), str(given["method"])
    if given.get("query"):
        url += ("&" if "?" in url else "?") + urlencode(given["query"], safe="${}")
    parts = ["curl -s -i", "-I" if method == "HEAD" else f"-X {method}"]
    headers: dict[str, Any] = given.get("headers") or {}
    parts += [f"-H {quote(f'{name}: {value}')}" for name, value in headers.items()]
    if "json" in given:
        parts.append(f"-H 'Content-Type: application/json' --data-raw {quote(json.dumps(given['json']))}")
    elif given.get("body") is not None:
        parts.append(f"--data-binary {quote(str(given['body']))}")
    return " ".join([*parts, quote(url)])


LINES: dict[str, Callable[[Arguments], str]] = {
    "ls": lambda given: f"ls -la {quote(str(given.get('path', '.')))}",
    "read": _read,
    "write": _write,
    "edit": _edit,
    "http_request": _request,
    "web_fetch": lambda given: f"curl -sL {quote(str(given['url']))}",
}
