"""stackbench: an evaluation harness for code language models."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stackbench.api import evaluate, evaluate_async
    from stackbench.engine.outcome import RunOutcome
    from stackbench.errors import StackbenchError

__all__ = ["RunOutcome", "StackbenchError", "__version__", "evaluate", "evaluate_async"]

__version__ = "0.1.0"

MODULES = {
    "RunOutcome": "stackbench.engine.outcome",
    "StackbenchError": "stackbench.errors",
    "evaluate": "stackbench.api",
    "evaluate_async": "stackbench.api",
}


def __getattr__(name: str) -> Any:
    """Loads a public name's module when the name is first used, so that importing the package stays cheap."""
    if name in MODULES:
        return getattr(import_module(MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
