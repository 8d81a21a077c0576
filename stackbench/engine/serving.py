"""A managed vLLM server outside of any run."""

from __future__ import annotations

from stackbench.config import Home, Settings
from stackbench.engine.run_model import model_options
from stackbench.errors import UsageError
from stackbench.models.vllm import VllmModel

__all__ = ["VllmModel", "create_server"]


def create_server(target: str, settings: Settings, home: Home, port: int | None) -> VllmModel:
    """The server of a model that vLLM can load, not started yet; `target` may begin with `vllm:`.

    Raises:
        UsageError: the name is of another kind of model.
    """
    kind, _, name = target.partition(":")
    if kind == "vllm":
        target = name
    elif name and kind == "hf":
        raise UsageError(f'serve takes a model that vLLM can load, not "{target}"; leave "hf:" out')
    elif kind in ("oracle", "null") or (name and kind in ("openai", "replay")):
        raise UsageError(
            f'serve starts a vLLM server, and "{target}" has no weights to load; '
            'name one of "stackbench models list", a hub id or a folder'
        )
    return VllmModel(f"vllm:{target}", target, model_options(settings, home.path, home.path / "logs", port))
