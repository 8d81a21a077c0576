"""How close a patch comes to the reference patch, told beside the verdict of the tests."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from stackbench.benchmarks.swebench.patches import patched_files, split_patch

__all__ = ["Closeness", "closeness", "same_changes"]

MOST_LINES = 5000
"""Of the changes of one file; the comparison takes time that grows with their product."""


@dataclass(frozen=True, slots=True)
class Closeness:
    """A patch beside the reference patch; every figure is from 0 to 1."""

    edit_similarity: float
    """Of changed lines: see `closeness`."""
    file_precision: float | None
    """Of the files that it changes, those that the reference changes; None for none changed."""
    file_recall: float
    """Of the files that the reference changes, those that it changes."""


def closeness(patch: str, gold: str) -> Closeness:
    """Edit similarity: 2 M / T over the added and removed lines of both patches' hunks, without blank ones, file by
    file; M counts those in the longest matching blocks (Ratcliff and Obershelp 1988, as `difflib` finds them), T all
    of both. Spaces at the ends of a line do not count."""
    ours, theirs = _changed_lines(patch), _changed_lines(gold)
    matching = total = 0
    for path in {*ours, *theirs}:
        a, b = ours.get(path, []), theirs.get(path, [])
        total += len(a) + len(b)
        if a and b:
            blocks = difflib.SequenceMatcher(None, a[:MOST_LINES], b[:MOST_LINES], autojunk=False)
            matching += sum(block.size for block in blocks.get_matching_blocks())
    changed, wanted = set(patched_files(patch)), set(patched_files(gold))
    both = len(changed & wanted)
    return Closeness(
        edit_similarity=2 * matching / total if total else 1.0,
        file_precision=both / len(changed) if changed else None,
        file_recall=both / len(wanted) if wanted else 1.0,
    )


def same_changes(patch: str, other: str) -> bool:
    """Whether two patches change the same lines of the same files, however git wrote them."""
    return _hunks(patch) == _hunks(other)


def _hunks(patch: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for file in split_patch(patch):
        lines = file.text.rstrip("\n").split("\n")
        start = next((number for number, line in enumerate(lines) if line.startswith("@@")), len(lines))
        found[file.path] = ["@@" if line.startswith("@@") else line for line in lines[start:]]
    return found


def _changed_lines(patch: str) -> dict[str, Sequence[str]]:
    """By file, the lines that are added and removed, each with its sign."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in split_patch(patch):
        inside = False
        for line in file.text.split("\n"):
            if line.startswith("@@"):
                inside = True
            elif inside and line[:1] in ("+", "-") and line[1:].strip():
                found[file.path].append(line[0] + line[1:].strip())
    return dict(found)
