"""Deletes a recorded run: by the home's engine where one serves it, as its only writer otherwise."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from stackbench.config import Home
from stackbench.control.client import connect
from stackbench.engine.home_lock import HomeLock
from stackbench.errors import EngineUnreachableError, UsageError
from stackbench.store import Writer

__all__ = ["delete_run", "remove_files", "remove_run"]

WITHIN_S = 60.0


async def remove_run(
    home: Home,
    run_id: str,
    *,
    who: str,
    alone: Callable[[Callable[[], None]], Awaitable[None]] = asyncio.to_thread,
) -> None:
    """Takes a run that has ended out of the home, rows and files; `runs rm` and the screens do it so.

    `alone` carries work out while this process has the database open nowhere else; without an engine it is needed.

    Raises:
        UsageError: it is live or queued.
        HomeLockedError, StoreError: the database cannot be written.
        EngineUnreachableError: the engine does not answer.
    """
    try:
        client = await connect(home.socket, who)
    except EngineUnreachableError:
        await alone(partial(delete_run, home, run_id))
        return
    try:
        await client.command("delete", who=who, within_s=WITHIN_S, run=run_id)
    finally:
        await client.close()


def delete_run(home: Home, run_id: str) -> None:
    """Removes its rows and its folder, as the home's only writer for that long.

    Raises:
        HomeLockedError: an engine serves the home; it deletes runs itself.
        StoreError: the database cannot be written.
    """
    lock = HomeLock(home.lock)
    lock.acquire()
    try:
        writer = Writer(home.database)
        try:
            writer.delete_run(run_id)
        finally:
            writer.close()
        remove_files(home, run_id)
    finally:
        lock.release()


def remove_files(home: Home, run_id: str) -> None:
    """The folder of a run: its logs and artefacts. Raises UsageError for a name that is no run's."""
    folder = home.run(run_id)
    if not run_id or Path(run_id).name != run_id or run_id.startswith("."):
        raise UsageError(f'"{run_id}" is no run')
    shutil.rmtree(folder, ignore_errors=True)
