"""What to try next when a model does not fit into memory: a shorter context, then a smaller share, then quantised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from stackbench.models.vllm.command import Loading
from stackbench.models.vllm.log import Diagnosis

__all__ = ["next_loading"]

SHORTEST = 2048
"""Tokens; a benchmark of short functions still fits."""
HALVINGS = 3
DEFAULT_FRACTION = 0.9
"""vLLM's own."""
FRACTION_STEP = 0.1
SMALLEST_FRACTION = 0.6
BLOCK = 16


def next_loading(
    tried: Sequence[Loading], failure: Diagnosis, window: int, quantized: Callable[[], tuple[Path, str] | None]
) -> Loading | None:
    """The way to load after the last of `tried` did not fit; None when there is nothing left to try.

    `window` is the model's context in tokens. `quantized` gives the folder and the quantisation that may stand in, if
    one was allowed; it may fetch.
    """
    first, last = tried[0], tried[-1]
    unquantized = first.quantization == last.quantization and first.folder == last.folder
    if unquantized:
        shorter = None if failure.fraction else _shorter(tried, failure, window)
        if shorter is not None:
            return replace(last, max_model_len=shorter)
        fraction = _smaller_fraction(last)
        if fraction is not None:
            return replace(last, gpu_memory_utilization=fraction)
        stand_in = quantized()
        if stand_in is not None:
            return replace(first, folder=stand_in[0], quantization=stand_in[1])
        return None
    shorter = _shorter([loading for loading in tried if loading.folder == last.folder], failure, window)
    return None if shorter is None else replace(last, max_model_len=shorter)


def _shorter(tried: Sequence[Loading], failure: Diagnosis, window: int) -> int | None:
    """Half the context, or what the server says would fit; None once that has been done often enough."""
    lengths = list(dict.fromkeys(loading.max_model_len or window for loading in tried))
    last = lengths[-1]
    if len(lengths) > HALVINGS or last <= SHORTEST:
        return None
    if failure.fitting_length is not None and SHORTEST <= failure.fitting_length < last:
        return failure.fitting_length // BLOCK * BLOCK
    return max(SHORTEST, last // 2)


def _smaller_fraction(last: Loading) -> float | None:
    fraction = round((last.gpu_memory_utilization or DEFAULT_FRACTION) - FRACTION_STEP, 2)
    return fraction if fraction >= SMALLEST_FRACTION else None
