"""Answers that do not commit themselves: lists of candidates, choices, the same said of each. None may be right."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from stackbench.benchmarks.tooluse.checks.equality import mentions
from stackbench.benchmarks.tooluse.scenario.check_fields import AnswerCheck
from stackbench.benchmarks.tooluse.scenario.scenario import Scenario

__all__ = ["false_answers", "unlisted"]

REACH = 3
"""So many numbers before and after the right one are told with it."""


def false_answers(spec: Scenario, right: str) -> Iterator[str]:
    """For every check of the answer: each candidate listed, in one sentence and in several, and the right one as one of
    two to choose from. `right` is the solution's answer; what it says beside the candidates stays in it."""
    for check in spec.checks:
        if not isinstance(check, AnswerCheck):
            continue
        if check.number is not None:
            yield from _of_number(check.number, right)
        if check.exact is not None and len(set(check.among or ())) > 1:
            yield from _of_names(check.exact, check.among or (), right)


def unlisted(spec: Scenario) -> list[str]:
    """The texts asked for that stand in the set-up and whose rivals are not named: whoever lists all would be right."""
    return [
        check.exact
        for check in spec.checks
        if isinstance(check, AnswerCheck)
        and check.exact is not None
        and not check.among
        and _is_there(spec, check.exact)
    ]


def _is_there(spec: Scenario, wanted: str) -> bool:
    files = [file.content or "" for file in [*spec.setup.files.values(), *spec.distractors.values()]]
    return any(mentions(text, wanted) for text in [*files, *spec.setup.files, str(spec.setup.processes)])


def _of_number(wanted: float, right: str) -> Iterator[str]:
    step = 1 if wanted == int(wanted) else 0.1
    near = [f"{wanted + step * by:g}" for by in range(-REACH, REACH + 1)]
    yield f"It is one of {', '.join(map(str, range(101)))}."
    yield f"It is one of {', '.join(near)}."
    yield f"{', '.join(map(str, range(101)))}\nor {', '.join(near)}"
    yield "\n".join(f"It is {one}." for one in near)
    said = f"{wanted:g}"
    yield _swapped(right, said, f"{said} or {wanted + step:g}")
    yield _swapped(right, said, ", ".join(near))


def _of_names(wanted: str, among: Sequence[str], right: str) -> Iterator[str]:
    names = [wanted, *(name for name in dict.fromkeys(among) if name != wanted)]
    yield f"{right}\n{' or '.join(names)}" if not mentions(right, wanted) else _swapped(right, wanted, ", ".join(names))
    yield f"It is one of {', '.join(names)}."
    yield "\n".join(f"It is {name}." for name in names)
    yield _swapped(right, wanted, f"{wanted} or {names[1]}")


def _swapped(text: str, old: str, new: str) -> str:
    """The text with another one in place of it; that alone where it is not there."""
    found = re.compile(rf"(?<![\w.]){re.escape(old)}(?!\w)", re.IGNORECASE)
    return found.sub(lambda _: new, text) if found.search(text) else new
