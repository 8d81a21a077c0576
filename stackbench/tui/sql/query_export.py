"""All rows of a statement as a file of the user's."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

from stackbench.errors import UsageError
from stackbench.tui.engine_link import EngineLink

__all__ = ["export_rows"]

FORMATS = ("csv", "json", "jsonl", "parquet")


async def export_rows(link: EngineLink, sql: str, path: Path) -> Path:
    """Writes them and returns the file's full path; one that exists is replaced once all rows are there.

    Raises:
        UsageError: the ending is no format's, the file cannot be written, or the statement failed.
        StoreError: the database cannot be read.
    """
    place, kind = await asyncio.to_thread(_checked, path)
    try:
        handle, name = await asyncio.to_thread(tempfile.mkstemp, suffix=place.suffix, dir=place.parent)
    except OSError as error:
        raise UsageError(f"{place} cannot be written ({error.strerror})") from error
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            await link.query(sql, file, kind)
        await asyncio.to_thread(os.replace, part, place)
    except OSError as error:
        raise UsageError(f"{place} cannot be written ({error.strerror})") from error
    finally:
        await asyncio.to_thread(part.unlink, missing_ok=True)
    return place


def _checked(path: Path) -> tuple[Path, str]:
    """The full path, and the format that its ending names."""
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise UsageError(f'"{path.name}" does not end in a format: use {", ".join(f".{one}" for one in FORMATS)}')
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name a file")
    return path.absolute(), kind
