"""Linear layers with weights packed by oneDNN for matrix products of many rows, on a CPU. Imports torch."""

# Modules of torch have partial types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from typing import Any

import torch

__all__ = ["pack_linear_layers"]


class PackedLinear(torch.nn.Module):
    """Computes what `torch.nn.Linear` computes, from weights packed once for `rows` rows."""

    def __init__(self, linear: torch.nn.Linear, rows: int) -> None:
        super().__init__()
        weight = linear.weight.detach()
        self._packed: Any = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
        bias: Any = linear.bias
        self._bias = None if bias is None else bias.detach()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.ops.mkldnn._linear_pointwise(inputs, self._packed, self._bias, "none", [], "")


def pack_linear_layers(model: torch.nn.Module, rows: int) -> int:
    """Replaces every linear layer in place and returns how many; 0 where oneDNN does not multiply these."""
    if not torch.backends.mkldnn.is_available() or not _multiplies(next(model.parameters()).dtype):
        return 0
    found = [(name, module) for name, module in model.named_modules() if type(module) is torch.nn.Linear]
    for name, module in found:
        parent = model.get_submodule(name.rpartition(".")[0])
        setattr(parent, name.rpartition(".")[2], PackedLinear(module, rows))
    return len(found)


def _multiplies(dtype: torch.dtype) -> bool:
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32
