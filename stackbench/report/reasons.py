"""Why attempts did not pass: reasons that differ in names and numbers alone are one, with its count and its tasks."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stackbench.natural_order import natural
from stackbench.store import Unpassed

__all__ = ["ReasonGroup", "group_reasons"]

PARTICULARS = re.compile(
    r"""'[^'\n]*'|"[^"\n]*"|`[^`\n]*`          # quoted names and values
    |\b0x[0-9a-fA-F]+\b|[-+]?\d(?:[\d.,_]*\d)?     # numbers
    |\b[A-J]\b                                  # letters of answers""",
    re.VERBOSE,
)
LONGEST = 200
NO_REASON = "no reason recorded"


@dataclass(frozen=True, slots=True)
class ReasonGroup:
    """Attempts at a benchmark that did not pass for one reason."""

    benchmark: str
    is_error: bool
    """They could be neither made nor scored; otherwise the model's answer is wrong."""
    reason: str
    """With `...` in the places where the attempts differ."""
    attempts: int
    tasks: tuple[str, ...]
    """In natural order."""


def group_reasons(found: Iterable[Unpassed], benchmarks: Sequence[str] = ()) -> list[ReasonGroup]:
    """All reasons, errors first, then by benchmark in the order given, the most frequent ones first."""
    groups: dict[tuple[str, bool, str], list[Unpassed]] = defaultdict(list)
    for one in found:
        reason = _first_line(one.reason)
        groups[one.benchmark, one.is_error, PARTICULARS.sub("...", reason)].append(one)
    made: list[ReasonGroup] = []
    for (benchmark, is_error, pattern), members in groups.items():
        whole = {_first_line(one.reason) for one in members}
        reason = whole.pop() if len(whole) == 1 else pattern
        tasks = sorted({one.task_id for one in members}, key=natural)
        made.append(ReasonGroup(benchmark, is_error, reason, len(members), tuple(tasks)))
    order = {name: number for number, name in enumerate(benchmarks)}
    return sorted(
        made, key=lambda g: (not g.is_error, order.get(g.benchmark, len(order)), g.benchmark, -g.attempts, g.reason)
    )


def _first_line(reason: str) -> str:
    """What the reason says, without the word that its kind says already."""
    line = next((line.strip() for line in reason.splitlines() if line.strip()), "")
    return line.removeprefix("failed: ").removeprefix("error: ")[:LONGEST] or NO_REASON
