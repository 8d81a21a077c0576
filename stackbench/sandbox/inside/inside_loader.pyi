"""What `loader.py` offers as a module once it runs in front of the others."""

from typing import Any, Sequence

BOOTSTRAP: str
CLEAN_BUILTINS: dict[str, Any]

def program(names: Sequence[str], ending: str) -> bytes: ...
def disappear() -> None: ...
