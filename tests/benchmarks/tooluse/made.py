"""Scenarios and calls made for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stackbench.agents import CallMade
from stackbench.benchmarks.tooluse.scenario.scenario import Scenario

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


def call(tool: str, *, step: int = 1, failed: bool = False, valid: bool = True, **arguments: Any) -> CallMade:
    return CallMade(step, tool, json.dumps(arguments), valid, failed, "")


def write(folder: Path, text: str, name: str = "one.yaml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path
