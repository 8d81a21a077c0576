"""The names in play, as they are spelled: verbs, benchmarks, tools, files. They bias recognition and the grammar."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import entry_points
from pathlib import Path

__all__ = ["benchmark_names", "file_names", "names_in_play"]

ALWAYS = ("stackbench", "pytest", "requeue", "max tokens", "JSON", "Python")
MOST = 48


def names_in_play(extra: Iterable[str] = ()) -> list[str]:
    """What a recogniser is to expect, most telling first; `extra` are names of the run at hand."""
    found: dict[str, None] = {}
    for name in (*extra, *benchmark_names(), *ALWAYS):
        if name:
            found.setdefault(name, None)
    return list(found)[:MOST]


def benchmark_names() -> Sequence[str]:
    """Installed benchmarks, whose modules are not loaded."""
    return sorted(point.name for point in entry_points(group="stackbench.benchmarks"))


def file_names(folder: Path, most: int = 20) -> list[str]:
    """Names of files in a folder, for an agent that works there."""
    try:
        return sorted(path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))[:most]
    except OSError:
        return []
