"""Starts an engine in a process of its own, from a program that may have threads and an event loop."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stackbench.config import Home

__all__ = ["Order", "engine_log", "start_engine"]

Order = dict[str, Any]
"""A run for another process's engine: `run_id`, `plan` (JSON of a RunPlan), `resume`."""


def engine_log(home: Home, run_id: str) -> Path:
    """Where an engine that was started for this run writes what it has to say."""
    return home.run(run_id) / "engine.log"


def start_engine(home: Home, orders: Sequence[Order]) -> subprocess.Popen[bytes]:
    """The hidden command `engine` with these runs, in a session of its own: it outlives whoever starts it."""
    run_id = str(orders[0]["run_id"])
    path = home.run(run_id)
    path.mkdir(parents=True, exist_ok=True)
    listed = path / f"orders-{secrets.token_hex(4)}.json"
    listed.write_text(json.dumps(list(orders)), encoding="utf-8")
    with engine_log(home, run_id).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "stackbench", "engine", str(listed), "--home", str(home.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
