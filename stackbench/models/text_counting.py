"""Counts the tokens of many texts with a tokenizer's file, in as many threads as there are processors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stackbench.errors import ModelNotAvailableError, one_line
from stackbench.extras import install_command

__all__ = ["counter_of_file", "named_counter", "tokenizer_file"]

TOKENIZER = "tokenizer.json"


def named_counter(named: str, folders: Sequence[Path]) -> Callable[[Sequence[str]], list[int]]:
    """The counter of a tokenizer: a tokenizer.json, a folder with one, or a model's name in one of these folders.

    Raises ModelNotAvailableError.
    """
    given = Path(named).expanduser()
    for path in (given, given / TOKENIZER, *(folder / named / TOKENIZER for folder in folders)):
        if path.is_file():
            return counter_of_file(path)
    raise ModelNotAvailableError(
        f'there is no tokenizer "{named}": name a tokenizer.json, a folder that has one, or a model that is on this '
        'machine ("stackbench models list")'
    )


def tokenizer_file(folder: Path) -> Path | None:
    """The tokenizer's file among a model's files, where it has one."""
    path = folder / TOKENIZER
    return path if path.is_file() else None


def counter_of_file(path: Path) -> Callable[[Sequence[str]], list[int]]:
    """Reads a tokenizer.json. Raises ModelNotAvailableError."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ModelNotAvailableError(
            f"to count tokens the local extra is needed ({error.name} is missing); run: {install_command('local')}"
        ) from error
    try:
        tokenizer: Any = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception
        raise ModelNotAvailableError(f"{path} is no tokenizer that can be read: {one_line(error)}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count(texts: Sequence[str]) -> list[int]:
        return [len(one) for one in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    return count
