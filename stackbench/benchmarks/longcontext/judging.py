"""Reads the answer to a question and scores it: by what it names, as a number, or as code that is executed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stackbench.benchmarks.answer_end import end_of_answer
from stackbench.benchmarks.longcontext.haystack import Question
from stackbench.benchmarks.number_answers import read_answer, shown_number
from stackbench.errors import one_line

__all__ = ["Judged", "f1_score", "judge", "reference_of"]

MARK = re.compile(r"answer\s*:\**", re.IGNORECASE)
GROUPED = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
DOCUMENTS = re.compile(r"[;,.\s]*\bdocuments?\b[^:]{0,20}:?", re.IGNORECASE)
IDENTIFIER = re.compile(r"\b[A-Z]\d{3,}\b")
LEAST_PRECISION = 0.25
"""An answer of which less is right names things until some are right: it gets nothing."""
RUN = 200
"""Characters of the haystack that an answer may not repeat as they stand."""
NEAR = 0.75
SHOWN = 80


@dataclass(frozen=True, slots=True)
class Judged:
    """A score with its reason."""

    score: float
    passed: bool
    reason: str
    metrics: Mapping[str, Any] = field(default_factory=dict[str, Any])


def reference_of(question: Question) -> str:
    """The right answer in the form that is asked for."""
    if question.kind == "code":
        return f"```python\n{question.answers[0]}```"
    answer = f"Answer: {', '.join(question.answers)}"
    return f"{answer}; documents: {', '.join(question.support)}" if question.support else answer


def judge(question: Question, answer: str, haystack: str) -> Judged:
    """Scores an answer to a question that is not of kind `code`.

    A list's score is F1, and `containment` stands beside it: the share of the right ones that occur in the answer.
    """
    part = _answered(end_of_answer(answer))
    if _repeats(part, haystack):
        return Judged(0.0, False, "failed: the answer repeats the text", {"repeats": True, **_nothing(question)})
    if question.kind == "number":
        return _number(question, part)
    named, support = part, ""
    if question.support:
        found = DOCUMENTS.search(part)
        if found is not None:
            named, support = part[: found.start()], part[found.end() :]
    names, right = _named(question, named), set(question.answers)
    score = f1_score(names, right)
    passed = names == right
    metrics: dict[str, Any] = {
        "f1": score,
        "containment": sum(answer in _plain(named) for answer in right) / len(right),
        "named": len(names),
    }
    if question.support:
        metrics["support_f1"] = f1_score(set(IDENTIFIER.findall(support)), set(question.support))
    shown = one_line(", ".join(sorted(names)), SHOWN) or "nothing that is asked for"
    reason = f"passed: named {shown}" if passed else f"failed: named {shown}, not {', '.join(question.answers)}"
    return Judged(score if len(right) > 1 else float(passed), passed, reason, metrics)


def f1_score(named: set[str], right: set[str]) -> float:
    """The harmonic mean of precision and recall; 0 for a precision under a quarter."""
    hits = len(named & right)
    if not hits or hits / len(named) < LEAST_PRECISION:
        return 0.0
    return 2 * hits / (len(named) + len(right))


def _nothing(question: Question) -> dict[str, Any]:
    if question.kind == "number":
        return {"near": 0.0}
    return {"f1": 0.0, "containment": 0.0} | ({"support_f1": 0.0} if question.support else {})


def _answered(text: str) -> str:
    """What stands behind the last mark; the whole text where there is none."""
    marks = list(MARK.finditer(text))
    return text[marks[-1].end() :].strip() if marks else text


def _repeats(part: str, haystack: str) -> bool:
    return any(part[at : at + RUN] in haystack for at in range(0, len(part) - RUN + 1, RUN // 2))


def _number(question: Question, part: str) -> Judged:
    right = int(question.answers[0])
    found = read_answer(part) if part else None
    passed = found == right
    near = 0.0 if found is None else NEAR ** min(1000.0, float(abs(found - right)))
    shown = "no number found" if found is None else f"answered {shown_number(found)}"
    reason = f"passed: {shown}" if passed else f"failed: {shown}, not {right}"
    return Judged(float(passed), passed, reason, {"near": near})


def _plain(text: str) -> str:
    return GROUPED.sub("", text)


def _named(question: Question, part: str) -> set[str]:
    """What an answer names: whatever has the shape of an answer, or every candidate that occurs in it."""
    if question.shape:
        return set(re.findall(question.shape, _plain(part)))
    lowered = part.lower()
    names = {name for name in {*question.candidates, *question.answers} if name.lower() in lowered}
    return {name for name in names if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", part, re.IGNORECASE)}
