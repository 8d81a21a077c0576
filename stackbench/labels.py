"""Names and tags that users give to runs."""

from __future__ import annotations

import re
from collections.abc import Iterable

from stackbench.errors import UsageError

__all__ = ["LABEL", "RUN_ID", "check_label", "check_labels"]

RUN_ID = re.compile(r"\d{8}(-[\w-]*)?$|last$|latest-unfinished$")
"""What names a run by its id, the start of it, or its place in time."""
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


def check_label(label: str, what: str) -> str:
    """The label, where it can stand for a run beside the ids. Raises UsageError."""
    if not LABEL.fullmatch(label):
        raise UsageError(
            f'{what} "{label}": it takes letters, digits, ".", "_", "+" and "-", 64 at most, a letter or digit first'
        )
    if RUN_ID.match(label):
        raise UsageError(f'{what} "{label}" looks like a run\'s id; choose another')
    return label


def check_labels(labels: Iterable[str], what: str) -> tuple[str, ...]:
    """Each once, in the order given. Raises UsageError."""
    return tuple(dict.fromkeys(check_label(label, what) for label in labels))
