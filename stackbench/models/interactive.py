"""Which model talks with a person when none is named."""

from __future__ import annotations

from importlib.util import find_spec

from stackbench.config import DEFAULT_MODEL
from stackbench.models.hardware import cpu_has_bfloat16, list_gpus

__all__ = ["interactive_model"]


def interactive_model() -> str:
    """The name of the model for one to four requests at once: the TUI's live agent, spoken commands.

    The weights are the default model's in either case. On a processor that does not multiply bfloat16 itself, llama.cpp
    answers a single request three times as fast as `hf:` does, and up to four no slower. On one that does, it is faster
    for a single request only, and by less (docs/performance.md, `python -m perf.hf_decoder`); on a GPU the two were not
    compared, and `hf:` stays. Asks nvidia-smi: call it off the event loop.
    """
    if find_spec("xllamacpp") is None or cpu_has_bfloat16() or list_gpus():
        return DEFAULT_MODEL
    return f"gguf:{DEFAULT_MODEL.removeprefix('hf:')}"
