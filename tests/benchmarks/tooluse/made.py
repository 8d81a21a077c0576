"""Scenarios and calls made for tests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stackbench.agents import CallMade, Effects
from stackbench.benchmarks.tooluse.scenario.scenario import Scenario
from stackbench.sandbox.records import FileChanges, HttpRequest

BASE: dict[str, Any] = {
    "id": "made",
    "category": "files",
    "subcategory": "test",
    "difficulty": 2,
    "prompt": "Do what the test needs to be done.",
    "tools": ["read", "write", "exec", "http_request"],
    "checks": [{"file": "out.txt"}],
}


def scenario(**fields: Any) -> Scenario:
    return Scenario.model_validate({**BASE, **fields})


def call(
    tool: str,
    *,
    step: int = 1,
    failed: bool = False,
    valid: bool = True,
    effects: Effects | None = None,
    details: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> CallMade:
    return CallMade(step, tool, json.dumps(arguments), valid, failed, "", details=details or {}, effects=effects)


def effects(
    *,
    added: Iterable[str] = (),
    removed: Iterable[str] = (),
    changed: Iterable[str] = (),
    read: Iterable[str] | None = (),
    requests: Iterable[HttpRequest] = (),
) -> Effects:
    known = None if read is None else frozenset(read)
    return Effects(FileChanges(frozenset(added), frozenset(removed), frozenset(changed), known), tuple(requests))


def request(method: str, path: str, body: Any = None, status: int = 200, query: str = "") -> HttpRequest:
    return HttpRequest(method, path, query, {}, b"" if body is None else json.dumps(body).encode(), status)


def write(folder: Path, text: str, name: str = "one.yaml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path
