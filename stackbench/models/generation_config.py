"""What a checkpoint's generation_config.json says of sampling."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from stackbench import nesting
from stackbench.errors import ModelNotAvailableError
from stackbench.models.options import ModelOptions

__all__ = ["checkpoint_sampling", "describe_generation_config", "sampling_defaults"]

RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0.0, math.inf),
    "top_p": (0.0, 1.0),
    "top_k": (0, math.inf),
    "min_p": (0.0, 1.0),
    "repetition_penalty": (0.0, 10.0),
}
"""The parameters that vLLM takes from the file too, with the least and the greatest value of each."""
LONGEST = 1 << 20


def checkpoint_sampling(folder: Path) -> dict[str, float]:
    """The sampling parameters in a folder's generation_config.json; empty where it has none, or cannot be read.

    `do_sample: false` is a temperature of 0.

    Raises:
        ModelNotAvailableError: a value is no number within its range.
    """
    path = folder / "generation_config.json"
    try:
        with path.open(encoding="utf-8") as file:
            config = nesting.object_of(file.read(LONGEST)) or {}
    except (OSError, UnicodeDecodeError):
        return {}
    found: dict[str, float] = {}
    for name, (least, most) in RANGES.items():
        value = config.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
            raise ModelNotAvailableError(f"{path}: {name} is {str(value)[:40]!r}, no number from {least:g} to {most:g}")
        found[name] = int(value) if name == "top_k" else float(value)
    if config.get("do_sample") is False:
        found["temperature"] = 0.0
    return found


def sampling_defaults(options: ModelOptions, folder: Path, say: Callable[[str], None]) -> dict[str, float]:
    """What applies where the user sets nothing: nothing, or the checkpoint's where that was asked for, which is told.

    Raises:
        ModelNotAvailableError: as for `checkpoint_sampling`.
    """
    if options.generation_config != "checkpoint":
        return {}
    found = checkpoint_sampling(folder)
    say(f"sampling that is not set: {_source(options, found)}")
    return found


def describe_generation_config(options: ModelOptions, folder: Path) -> dict[str, Any]:
    """For the run's record: whose sampling applies, and what the file says, whether it applies or not."""
    try:
        found = checkpoint_sampling(folder)
    except ModelNotAvailableError as error:
        return {"generation_config": {"applied": options.generation_config, "checkpoint": str(error)}}
    return {
        "sampling_not_set": _source(options, found),
        "generation_config": {"applied": options.generation_config, "checkpoint": found},
    }


def _source(options: ModelOptions, found: Mapping[str, float]) -> str:
    if options.generation_config != "checkpoint":
        return "neutral"
    values = ", ".join(f"{name} {value:g}" for name, value in found.items())
    return f"as the checkpoint's generation_config.json has it ({values or 'it has none'})"
