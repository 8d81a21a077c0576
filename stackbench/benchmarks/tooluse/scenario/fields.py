"""Base classes and types shared by the fields of a scenario."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

__all__ = ["Part", "Text", "kind_among"]


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Text = Annotated[str, BeforeValidator(_as_text)]
"""Text; a number that an expression gave is written out."""


class Part(BaseModel):
    """A part of a scenario; unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def kind_among(*kinds: str) -> Callable[[Any], str | None]:
    """Which of these fields a part has, whether it is still a mapping or made already."""

    def kind(value: Any) -> str | None:
        has = value.__contains__ if isinstance(value, Mapping) else partial(hasattr, value)
        return next((name for name in kinds if has(name)), None)

    return kind
