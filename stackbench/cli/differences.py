"""The lines that tell how two runs were set up differently."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from stackbench.cli.console import shown

__all__ = ["difference_lines"]

ABSENT = "-"
MOST_SHOWN = 200


def difference_lines(differences: Mapping[str, tuple[Any, Any]], width: int) -> Iterator[Text]:
    """A line for each difference, or three where two values have no room side by side."""
    label = max((len(name) for name in differences), default=0)
    for name, pair in differences.items():
        a, b = (ABSENT if value is None else _short(str(value)) for value in pair)
        if 2 + label + 2 + len(a) + 3 + len(b) <= width:
            yield shown(f"  {name:<{label}}  {a} | {b}")
        elif 2 + len(name) + 2 + len(a) + 3 + len(b) <= width:
            yield shown(f"  {name}  {a} | {b}")
        else:
            yield shown(f"  {name}")
            yield shown(f"    first   {a}")
            yield shown(f"    second  {b}")


def _short(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}... ({len(text)} characters; --json shows all)"
