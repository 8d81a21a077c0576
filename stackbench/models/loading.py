"""Loads a model's weights through Transformers: device, precision, quantisation. Imports torch when called."""

# transformers has partial types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackbench.errors import ModelNotAvailableError, one_line
from stackbench.models.hardware import cpu_has_bfloat16
from stackbench.models.headers import check_weights

if TYPE_CHECKING:
    import torch

__all__ = ["Placement", "choose_placement", "free_bytes", "load_tokenizer", "load_weights"]

CHECKPOINTS = {"awq": "gptqmodel", "gptq": "optimum gptqmodel"}


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a model runs and in which precision."""

    device: str
    """cpu or cuda."""
    gpus: int
    dtype: torch.dtype

    def describe(self) -> str:
        where = f"{self.gpus} GPUs" if self.gpus > 1 else self.device
        return f"{where} in {str(self.dtype).removeprefix('torch.')}"


def choose_placement(dtype: str | None) -> Placement:
    """The GPUs where there are any, else the processor; float32 on one that does not know bfloat16."""
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    chosen = dtype or ("bfloat16" if gpus or cpu_has_bfloat16() else "float32")
    return Placement("cuda" if gpus else "cpu", gpus, getattr(torch, chosen))


def free_bytes(placement: Placement) -> int:
    """Bytes of memory that are free where the model runs; of several GPUs, on the fullest."""
    if not placement.gpus:
        import psutil

        return int(psutil.virtual_memory().available)
    import torch

    return min(int(torch.cuda.mem_get_info(gpu)[0]) for gpu in range(placement.gpus))


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer. Raises ModelNotAvailableError when it cannot be loaded."""
    import transformers

    try:
        return transformers.AutoTokenizer.from_pretrained(folder)
    except Exception as error:  # as for the weights
        raise ModelNotAvailableError(f"{folder} cannot be loaded: {one_line(error)}") from error


def load_weights(folder: Path, placement: Placement, quantization: str | None, attention: str) -> Any:
    """The model, ready to be called; spread over the GPUs by accelerate where there are several.

    Raises:
        ModelNotAvailableError: it cannot be loaded so; says what is missing.
    """
    import torch
    import transformers

    check_weights(folder)
    options: dict[str, Any] = {
        "dtype": placement.dtype,
        "attn_implementation": attention,
        "device_map": "auto" if placement.gpus > 1 else placement.device,
    }
    if quantization is not None:
        options["quantization_config"] = _quantization(quantization, placement, torch, transformers)
    try:
        return transformers.AutoModelForCausalLM.from_pretrained(folder, **options).eval()
    except ImportError as error:
        missing = "bitsandbytes" if quantization is not None else _checkpoint_needs(str(error))
        raise ModelNotAvailableError(
            f"{folder.name} needs a package that is not installed ({one_line(error)}); run: pip install {missing}"
        ) from error
    except Exception as error:  # checkpoints come from anywhere, and every library has errors of its own
        raise ModelNotAvailableError(f"{folder} cannot be loaded: {one_line(error)}") from error


def _quantization(name: str, placement: Placement, torch: Any, transformers: Any) -> Any:
    if name == "fp8":
        if not placement.gpus or torch.cuda.get_device_capability() < (8, 9):
            raise ModelNotAvailableError("hf: with fp8 needs a GPU of compute capability 8.9 or newer (Ada, Hopper)")
        return transformers.FineGrainedFP8Config()
    if name == "bitsandbytes-8bit":
        return transformers.BitsAndBytesConfig(load_in_8bit=True)
    return transformers.BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=placement.dtype
    )


def _checkpoint_needs(text: str) -> str:
    lowered = text.lower()
    return next((package for name, package in CHECKPOINTS.items() if name in lowered), "what it names")
