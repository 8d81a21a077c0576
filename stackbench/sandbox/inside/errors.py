"""An error's message as text that any channel can carry."""

from __future__ import annotations

ERROR_KEPT = 600


def describe(error: BaseException):
    try:
        text = str(error)
    except BaseException:
        text = "(its message cannot be shown)"
    return text[:ERROR_KEPT].encode("utf-8", "backslashreplace").decode()
