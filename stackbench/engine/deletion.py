"""Deletes a recorded run where no engine serves the home."""

from __future__ import annotations

import shutil
from pathlib import Path

from stackbench.config import Home
from stackbench.engine.home_lock import HomeLock
from stackbench.errors import UsageError
from stackbench.store import Writer

__all__ = ["delete_run", "remove_files"]


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
