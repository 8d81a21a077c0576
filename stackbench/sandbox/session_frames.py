"""Records made of a container's answers, frames made of records, and what the environment of a check is."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from stackbench.sandbox.records import (
    Entry,
    FileChanges,
    HttpAnswer,
    HttpRequest,
    HttpRoute,
    Observed,
    ProcessInfo,
)

__all__ = [
    "CHECKS",
    "CHECK_ENVIRONMENT",
    "WORKSPACE",
    "entry_of",
    "observed_of",
    "process_of",
    "request_of",
    "route_frame",
]

CHECKS = "/check"
WORKSPACE = "/workspace"
CHECK_PATH = "/usr/local/bin:/usr/bin:/bin"
GIT_SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    "core.pager": "cat",
}
CHECK_ENVIRONMENT = {
    "PATH": CHECK_PATH,
    "USER": "checker",
    "LOGNAME": "checker",
    "PYTHONSAFEPATH": "1",
    "PYTHONNOUSERSITE": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_COUNT": str(len(GIT_SETTINGS)),
    **{f"GIT_CONFIG_KEY_{number}": name for number, name in enumerate(GIT_SETTINGS)},
    **{f"GIT_CONFIG_VALUE_{number}": value for number, value in enumerate(GIT_SETTINGS.values())},
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_PAGER": "cat",
}


def entry_of(path: str, found: Mapping[str, Any]) -> Entry:
    return Entry(
        path=path,
        kind=found["kind"],
        size=found["size"],
        mode=found["mode"],
        mtime_ns=found["mtime_ns"],
        links=found["links"],
        target=found.get("target", ""),
        sha256=found.get("sha256"),
    )


def route_frame(route: HttpRoute) -> dict[str, Any]:
    return {
        "path": route.path,
        "method": route.method,
        **_answer(HttpAnswer(route.status, route.headers, route.body, route.delay_s)),
        "faults": [_answer(fault) for fault in route.faults],
        "auth": route.auth,
        "rate": None if route.rate is None else asdict(route.rate),
        "pages": None if route.pages is None else asdict(route.pages),
        "etag": route.etag,
        "store": None if route.store is None else asdict(route.store),
    }


def _answer(answer: HttpAnswer) -> dict[str, Any]:
    return {
        "status": answer.status,
        "headers": dict(answer.headers),
        "body": base64.b64encode(answer.body).decode(),
        "delay_s": answer.delay_s,
        "keep": answer.keep,
        "times": answer.times,
    }


def process_of(found: Mapping[str, Any]) -> ProcessInfo:
    return ProcessInfo(
        pid=found["pid"],
        parent=found["parent"],
        state=found["state"],
        user=found["user"],
        command=tuple(found["command"]),
        cpu_s=found["cpu_s"],
        memory_bytes=found["memory_bytes"],
        started=found["started"],
    )


def observed_of(answer: Mapping[str, Any]) -> Observed:
    """What a container tells of itself since it was last looked at."""
    told = answer["files"]
    files = None
    if told is not None and "added" in told:
        read = told["read"]
        files = FileChanges(
            frozenset(told["added"]),
            frozenset(told["removed"]),
            frozenset(told["changed"]),
            None if read is None else frozenset(read),
        )
    requests = tuple(map(request_of, answer["requests"]))
    return Observed(files, requests, tuple(map(process_of, answer["processes"])))


def request_of(found: Mapping[str, Any]) -> HttpRequest:
    """A request as the HTTP service logged it."""
    return HttpRequest(
        method=found["method"],
        path=found["path"],
        query=found["query"],
        headers=found["headers"],
        body=base64.b64decode(found["body"]),
        status=found["status"],
    )
