"""numpy for this room, imported when first used: most commands compute nothing, and the import takes 60 ms."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]  # a vector or a matrix
else:
    NDArray = Floats = Any

    class _WhenUsed:
        def __getattr__(self, name: str) -> Any:
            found = getattr(import_module("numpy"), name)
            setattr(self, name, found)
            return found

    np = _WhenUsed()

__all__ = ["Floats", "NDArray", "np"]
