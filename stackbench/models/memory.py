"""How much memory a model takes, from its shape: weights, key/value cache, and what of it fits a machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackbench.errors import UsageError
from stackbench.models.manifest import IN_FLIGHT, ModelEntry, load_manifest, model_config
from stackbench.suggestions import did_you_mean

__all__ = ["Fit", "entry_of", "kv_bytes_per_token", "plan_fits", "weight_bytes"]

GIB = 1 << 30
FULL_BITS = 16
GROUP = 128
"""Weights that share a scale and a zero point in AWQ and GPTQ checkpoints."""
USABLE = 0.9
"""Of the memory, as vLLM takes it by default."""
OVERHEAD_BYTES = int(1.5 * GIB)
"""Context of the device, activations and graphs, for one device."""
SHORTEST_USEFUL = 2048


@dataclass(frozen=True, slots=True)
class Fit:
    """What a model takes in one precision, and whether that is there."""

    quantization: str
    weight_bytes: int
    kv_bytes: int
    """Of one sequence as long as the context."""
    total_bytes: int
    fits: bool
    """With one sequence of the whole context."""
    longest: int
    """Tokens of context that fit, all sequences together; 0 where not even the weights do."""


def weight_bytes(entry: ModelEntry, bits: int | None = None) -> int:
    """Bytes of the weights: embeddings in 16 bits, linear layers in `bits` (the entry's own when None).

    Groups of 128 quantised weights share a 16-bit scale and a zero point of `bits` (Frantar et al. 2022,
    arXiv:2210.17323; Lin et al. 2023, arXiv:2306.00978).
    """
    bits = entry.bits if bits is None else bits
    if bits >= FULL_BITS:
        return entry.parameters * FULL_BITS // 8
    embeddings = entry.vocab * entry.hidden * (1 if entry.tied else 2)
    per_weight = bits + (FULL_BITS + bits) / GROUP
    return int(embeddings * FULL_BITS / 8 + (entry.parameters - embeddings) * per_weight / 8)


def kv_bytes_per_token(entry: ModelEntry, bits: int = FULL_BITS) -> int:
    """Bytes of keys and values of one token: 2 * layers * key/value heads * width of a head, in so many bits."""
    return 2 * entry.layers * entry.kv_heads * entry.head_dim * bits // 8


def plan_fits(entry: ModelEntry, memory_bytes: int) -> list[Fit]:
    """The model in each precision that it can be had in, the fullest first, against the memory of one device."""
    choices = [(entry.quantization or f"{FULL_BITS} bits", entry.bits)]
    if not entry.quantization:
        choices += sorted(
            set(IN_FLIGHT.items()) | {(v.quantization if v.bits == 4 else v.suffix, v.bits) for v in entry.variants},
            key=lambda choice: (-choice[1], choice[0]),
        )
    usable = int(memory_bytes * USABLE)
    found: list[Fit] = []
    for name, bits in choices:
        weights = weight_bytes(entry, bits)
        kv = kv_bytes_per_token(entry) * entry.context
        room = usable - weights - OVERHEAD_BYTES
        longest = max(0, room // kv_bytes_per_token(entry))
        total = weights + kv + OVERHEAD_BYTES
        found.append(Fit(name, weights, kv, total, total <= usable, longest if longest >= SHORTEST_USEFUL else 0))
    return found


def entry_of(target: str) -> ModelEntry:
    """The manifest's entry, or one read from a local folder's config.json and the size of its weights.

    Raises:
        UsageError: it is neither.
    """
    manifest = load_manifest()
    if target in manifest:
        return manifest[target]
    folder = Path(target).expanduser()
    if not (folder / "config.json").is_file():
        raise UsageError(
            f'nothing is known of the model "{target}"{did_you_mean(target, manifest)}; name one of '
            '"stackbench models list", or the folder of a model'
        )
    try:
        config = model_config(folder)
        config = config.get("text_config", config)
        heads = int(config["num_attention_heads"])
        quantization: dict[str, Any] = config.get("quantization_config") or {}
        size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        return ModelEntry(
            title=folder.name,
            parameters=size * 8 // FULL_BITS,  # of a quantised checkpoint: what 16-bit weights of that size would be
            layers=int(config["num_hidden_layers"]),
            kv_heads=int(config.get("num_key_value_heads", heads)),
            head_dim=int(config.get("head_dim") or config["hidden_size"] // heads),
            hidden=int(config["hidden_size"]),
            vocab=int(config["vocab_size"]),
            tied=bool(config.get("tie_word_embeddings", True)),
            context=int(config["max_position_embeddings"]),
            licence="?",
            sources=(),
            quantization=str(quantization.get("quant_method", "")),
        )
    except (ValueError, KeyError, TypeError, ArithmeticError, AttributeError) as error:
        raise UsageError(
            f"{folder / 'config.json'} is not of a language model that stackbench knows: its layers, heads, vocabulary "
            "or context are not told as usual"
        ) from error
