"""Writes a report of runs by the command that does so: plots and documents take seconds, and libraries of their own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from stackbench import nesting
from stackbench.config import Home
from stackbench.errors import StackbenchError

__all__ = ["write_report"]

ERROR = "stackbench: error: "


async def write_report(home: Home, runs: Sequence[str], folder: Path) -> int:
    """`stackbench report RUN... --to FOLDER` in a process of its own; how many files it wrote.

    Raises StackbenchError with what the command says where it fails.
    """
    command = [sys.executable, "-m", "stackbench", "report", *runs, "--to", str(folder), "--home", str(home.path)]
    process = await asyncio.create_subprocess_exec(
        *command, "--json", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        told, errors = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        lines = [line for line in errors.decode(errors="replace").splitlines() if line.strip()]
        said = next((line for line in lines if line.startswith(ERROR)), lines[-1] if lines else "no reason was given")
        raise StackbenchError(f"report: {said.removeprefix(ERROR)}")
    document = nesting.object_of(told.decode(errors="replace")) or {}
    return len(document.get("files", ()))
