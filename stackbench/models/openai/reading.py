"""Bodies and events of an endpoint: JSON of a bounded depth, without secrets, with errors recognised."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from stackbench import nesting
from stackbench.errors import GenerationError, one_line
from stackbench.models.openai.faults import (
    AnswerError,
    BusyError,
    ErrorDetail,
    RefusedError,
    detail_of,
    error_of,
    is_passing,
    passes,
    retry_after_s,
)
from stackbench.nesting import is_object
from stackbench.redaction import Redaction

__all__ = ["AnswerReader"]


class AnswerReader:
    """Reads what comes from one address."""

    def __init__(self, url: str, redaction: Redaction) -> None:
        self.url = url
        self.redaction = redaction

    def refusal(self, path: str, status: int, headers: Mapping[str, str], content: bytes) -> GenerationError:
        """The error that a status other than 200 comes to."""
        detail = self._without_secrets(detail_of(content))
        if 300 <= status < 400:
            where = self.redaction.message(headers.get("Location", ""))
            detail = ErrorDetail(f"it leads to {where}; give that address")
        problem = f"HTTP {status}: {detail.shown}"
        if is_passing(status):
            return BusyError(problem, retry_after_s(headers))
        return RefusedError(f"{self.url}/{path} refused the request: {problem}", status, detail)

    def completion(self, path: str, content: bytes) -> dict[str, Any]:
        """The completion that a body of status 200 is.

        Raises:
            RefusedError, BusyError: it is an error, or is broken.
            AnswerError: it is JSON of another kind.
        """
        text = content.decode(errors="replace").removeprefix("\ufeff")
        try:
            answer = _first_object(text) if not nesting.is_deep(text) else None
        except (ValueError, RecursionError) as error:
            raise BusyError(f"the answer is not JSON: {self.redaction.message(one_line(error))}") from error
        if not is_object(answer):
            shown = self.redaction.message(text)[:100]
            raise AnswerError(f"{self.url}/{path} answered with no object of JSON, or with one too deep: {shown}")
        if self.redaction.may_hold(text):
            answer = self.redaction.answers(answer)
        if error_of(answer) is not None:
            self._check_error(path, answer)
        if not answer.get("choices"):
            raise BusyError(f"the answer is no completion: {self.redaction.message(text)[:200]}")
        return answer

    def event(self, name: str, text: str) -> dict[str, Any] | None:
        """An event's object; None for one that says nothing of the answer."""
        if not text.strip():
            return None
        try:
            event = json.loads(text) if not nesting.is_deep(text) else None
        except (ValueError, RecursionError) as error:
            if name == "error":
                raise BusyError(f"an error within the stream: {self.redaction.message(text)[:300]}") from error
            shown = self.redaction.message(one_line(error))
            raise GenerationError(f"{self.url} streamed what is not JSON: {shown}") from error
        if not is_object(event):
            if event is None and text.strip() == "null":
                return None
            raise GenerationError(f"{self.url} streamed no object of JSON: {self.redaction.message(text)[:100]}")
        if self.redaction.may_hold(text):
            event = self.redaction.answers(event)
        if name == "error" and not event.get("error"):
            event = {"error": event}
        self._check_error("", event)
        return event

    def _check_error(self, path: str, answer: Mapping[str, Any]) -> None:
        """Raises RefusedError or BusyError for an error within an answer of status 200."""
        detail = error_of(answer)
        if detail is None:
            return
        detail = self._without_secrets(detail)
        if passes(detail):
            raise BusyError(f"an error within the answer: {detail.shown}")
        raise RefusedError(f"{self.url}/{path} refused the request: {detail.shown}", detail.status or 400, detail)

    def _without_secrets(self, detail: ErrorDetail) -> ErrorDetail:
        """Servers repeat a wrong key in their refusals; these lines are recorded."""
        if not self.redaction:
            return detail
        message = self.redaction.message
        return ErrorDetail(
            message(detail.text), parameter=message(detail.parameter), status=detail.status, kind=message(detail.kind)
        )


def _first_object(text: str) -> Any:
    """The JSON of a body; a proxy's remark behind it is none of it. Raises ValueError."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        behind = text[error.pos :].strip(" \t\r\n\0")
        if not error.msg.startswith("Extra data") or any(mark in behind for mark in "{["):
            raise
        return json.loads(text[: error.pos])
