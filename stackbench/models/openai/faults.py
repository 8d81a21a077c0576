"""Errors of requests to an endpoint, and which of them are transient."""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from stackbench import nesting
from stackbench.errors import EndpointError, GenerationError
from stackbench.nesting import is_array, is_object

__all__ = [
    "AnswerError",
    "BusyError",
    "ErrorDetail",
    "RefusedError",
    "detail_of",
    "error_of",
    "is_passing",
    "passes",
    "retry_after_s",
]

PASSING = {408, 409, 425, 429}
"""Beside every status of 500 and more."""
LONGEST_WAIT_S = 600.0
SHOWN = 300
REFUSALS = re.compile(
    r"invalid|not.?found|unsupported|not.?supported|unauthori[sz]ed|authentication|permission|forbidden|context.?length"
    r"|content.?filter|quota|billing|bad.?request|unprocessable|validation",
    re.IGNORECASE,
)
ENDED_BADLY = {"error", "abort", "insufficient_system_resource"}
"""Reasons of an ending that tell of a server's fault."""


class RefusedError(GenerationError):
    """The server understood the request and will not answer it: another try would end alike."""

    def __init__(self, message: str, status: int, detail: ErrorDetail | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.detail = detail or ErrorDetail(message)


class BusyError(EndpointError):
    """The server may answer another time."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s
        """How long it asks to wait (Retry-After), where it says so."""


class AnswerError(EndpointError):
    """The server answered with what is no completion, or with too much; it would probably do so again."""


class ErrorDetail:
    """What a server says of an error."""

    def __init__(self, text: str, *, parameter: str = "", status: int | None = None, kind: str = "") -> None:
        self.text = " ".join(text.split())
        self.parameter = parameter
        """The parameter that it names as the culprit, where it names one apart."""
        self.status = status
        self.kind = kind

    @property
    def shown(self) -> str:
        return self.text[:SHOWN]


def is_passing(status: int) -> bool:
    """Whether a request that ended with this HTTP status is worth another try."""
    return status >= 500 or status in PASSING


def detail_of(content: bytes) -> ErrorDetail:
    """What the body of an error says: OpenAI's form, FastAPI's, or any text."""
    text = content.decode(errors="replace")
    try:
        answer = nesting.loads(text)
    except (ValueError, RecursionError):
        return ErrorDetail(text)
    return _detail(answer)


def error_of(answer: Mapping[str, Any]) -> ErrorDetail | None:
    """The error object within an answer, or within its first choice; None where there is none."""
    if _says(answer.get("error")):
        return _detail(answer)
    choices = answer.get("choices")
    first = choices[0] if is_array(choices) and choices else None
    if not is_object(first):
        return None
    if _says(first.get("error")):
        return _detail(first)
    reason = first.get("finish_reason")
    if isinstance(reason, str) and reason in ENDED_BADLY:
        return ErrorDetail(f"the server ended the answer with finish_reason {first['finish_reason']}", status=500)
    return None


def _says(error: Any) -> bool:
    """Whether an error object says anything: servers send one with empty fields beside an answer."""
    return any(error.values()) if is_object(error) else bool(error)


def passes(detail: ErrorDetail) -> bool:
    """Whether an error within an answer may pass; what names no code is taken to."""
    if detail.status is not None:
        return is_passing(detail.status)
    return not REFUSALS.search(detail.kind or "")


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait from a Retry-After header: a number or an HTTP date (RFC 9110, section 10.2.3), 600 at most.

    A date is read against the server's own clock, where its answer has a date.
    """
    header = headers.get("Retry-After", "").strip()
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        at = _seconds(header)
        if at is None:
            return None
        now = _seconds(headers.get("Date", ""))
        seconds = at - (time.time() if now is None else now)
    return None if math.isnan(seconds) else min(max(0.0, seconds), LONGEST_WAIT_S)


def _seconds(date: str) -> float | None:
    """An HTTP date as seconds since 1970."""
    try:
        found = email.utils.parsedate_to_datetime(date)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _detail(answer: Any) -> ErrorDetail:
    error = answer
    if is_object(answer):
        error = answer.get("error") or answer.get("errors") or answer.get("detail") or answer.get("message") or answer
    if is_array(error) and error:
        return _validation(error)
    if not is_object(error):
        return ErrorDetail(str(error), status=_status(answer.get("code")) if is_object(answer) else None)
    text = error.get("message") or error.get("msg") or error.get("detail") or error
    if is_array(text) and text:
        return _validation(text)
    parameter = error.get("param")
    kind = " ".join(str(error.get(name) or "") for name in ("type", "code", "status"))
    status = next((s for name in ("code", "status", "status_code") if (s := _status(error.get(name)))), None)
    return ErrorDetail(str(text), parameter=parameter if isinstance(parameter, str) else "", status=status, kind=kind)


def _validation(problems: list[Any]) -> ErrorDetail:
    """FastAPI's list of problems with a body, each with the place of a field."""
    named = [
        str(problem["loc"][-1])
        for problem in problems
        if is_object(problem) and is_array(problem.get("loc")) and problem["loc"]
    ]
    texts = [str(problem.get("msg") or problem) if is_object(problem) else str(problem) for problem in problems]
    said = [f"{name}: {text}" for name, text in zip(named, texts, strict=True)] if len(named) == len(texts) else texts
    return ErrorDetail("; ".join(said), parameter=named[0] if named else "")


def _status(value: Any) -> int | None:
    """An HTTP status among the codes of an error."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 100 <= value < 1000 else None
