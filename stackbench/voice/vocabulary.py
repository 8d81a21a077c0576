"""What a recogniser is to expect: commands as they are said, and the names in play as they are spelled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import entry_points

__all__ = ["benchmark_names", "names_in_play"]

COMMANDS = (
    "pause the run",
    "resume",
    "stop",
    "approve",
    "reject",
    "confirm",
    "start HumanEval with 10 tasks",
    "set concurrency to 8",
    "open attempt 12",
    "show failures",
    "requeue errors",
    "run the smoke suite",
    "write a function called read_file that takes a list of numbers and returns a string",
    "rename the file main.py to notes.txt",
)
"""Said often, and short: a recogniser that does not expect them makes other words of them."""
SPELLED = {"humaneval": "HumanEval", "mbpp": "MBPP", "mbppplus": "MBPP+", "gsm8k": "GSM8K", "mmlu": "MMLU"}
ALWAYS = ("stackbench", "pytest")
MOST = 48


def names_in_play(extra: Iterable[str] = ()) -> list[str]:
    """Commands, installed benchmarks, then `extra`: names of the run or the files at hand."""
    named = (SPELLED.get(name, name) for name in benchmark_names())
    return list(dict.fromkeys(name for name in (*COMMANDS, *named, *ALWAYS, *extra) if name))[:MOST]


def benchmark_names() -> Sequence[str]:
    """Installed benchmarks, whose modules are not loaded."""
    return sorted(point.name for point in entry_points(group="stackbench.benchmarks"))
