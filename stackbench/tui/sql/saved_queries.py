"""Queries that are kept in the home: those saved under a name, a file each, and those asked last."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from stackbench.errors import UsageError

__all__ = ["SavedQueries", "SavedQuery"]

NAME = re.compile(r"[\w][\w .-]{0,79}")
REMEMBERED = 100
LONGEST = 100_000
"""Characters of a query that is remembered or saved."""


@dataclass(frozen=True, slots=True)
class SavedQuery:
    """A statement; those of the history have no name."""

    sql: str
    name: str = ""


class SavedQueries:
    """`folder`/NAME.sql, and `folder`/history.jsonl. Files may be edited by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def all(self) -> list[SavedQuery]:
        """The saved ones by name, then the history, the newest first. A file that cannot be read is left out."""
        saved: list[SavedQuery] = []
        for path in sorted(self.folder.glob("*.sql")):
            try:
                saved.append(SavedQuery(path.read_text(encoding="utf-8", errors="replace")[:LONGEST], path.stem))
            except OSError:
                continue
        return saved + [SavedQuery(sql) for sql in reversed(self._history())]

    def save(self, name: str, sql: str) -> Path:
        """Keeps a statement under a name, in place of another of that name. Raises UsageError."""
        if not NAME.fullmatch(name) or name.endswith((".", " ")):
            raise UsageError(f'"{name}" is no name for a query; use letters, digits, spaces, "_" and "-"')
        path = self.folder / f"{name}.sql"
        self._write(path, sql.rstrip() + "\n")
        return path

    def remember(self, sql: str) -> None:
        """Adds a statement to the history. Raises UsageError where the folder cannot be written."""
        if len(sql) > LONGEST:
            return
        history = [one for one in self._history() if one != sql][-REMEMBERED + 1 :]
        self._write(self.folder / "history.jsonl", "".join(f"{json.dumps(one)}\n" for one in [*history, sql]))

    def _history(self) -> list[str]:
        try:
            lines = (self.folder / "history.jsonl").read_text(encoding="utf-8").splitlines()
            return [one for one in map(json.loads, lines) if isinstance(one, str)]
        except (OSError, ValueError):
            return []

    def _write(self, path: Path, text: str) -> None:
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise UsageError(f"{path} cannot be written ({error.strerror})") from error
