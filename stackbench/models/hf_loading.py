"""Brings a model into this process: its files, hashed as they are loaded, its weights, tokenizer and decoder."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackbench.errors import ModelNotAvailableError
from stackbench.extras import install_command
from stackbench.models.generation_config import describe_generation_config, sampling_defaults
from stackbench.models.loaded_files import hash_loaded
from stackbench.models.loading import choose_placement, free_bytes, load_tokenizer, load_weights
from stackbench.models.memory import entry_of, kv_bytes_per_token
from stackbench.models.openmp import limit_spinning
from stackbench.models.options import ModelOptions
from stackbench.models.pull import notice_changes, origin, quantized_variant
from stackbench.nesting import is_array, is_object

if TYPE_CHECKING:
    from stackbench.models.decoding import BatchDecoder
    from stackbench.models.prompting import PromptReader

__all__ = ["LoadedModel", "load_hf"]

CACHE_SHARE = 2
"""One part in so many of the memory that the weights leave free is for the keys and values of what is decoded."""
KEPT_SHARE = 8
"""One part in so many holds what was read of chats that go on."""
USUAL_ENDS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>")


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that is ready to decode."""

    reader: PromptReader
    decoder: BatchDecoder
    folder: Path
    gpus: int
    sampling_defaults: Mapping[str, float]
    about: Mapping[str, Any]
    """For the run's record."""


def load_hf(
    target: str, options: ModelOptions, stopping: Callable[[], bool], say: Callable[[str], None]
) -> LoadedModel:
    """Fetches what is missing and loads the model.

    Raises:
        UsageError, ModelNotAvailableError: there is no such model, or it cannot be loaded.
    """
    if options.gpus is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = options.gpus
    limit_spinning()
    try:
        import torch
        import transformers

        from stackbench.models.decoding import BatchDecoder
        from stackbench.models.grouped_attention import ATTENTION, register_attention
        from stackbench.models.packed import pack_linear_layers
        from stackbench.models.prompting import PromptReader, template_of
    except ImportError as error:
        raise ModelNotAvailableError(
            f"hf: models need the local extra ({error.name} is missing); run: {install_command('local')}"
        ) from error
    folder, quantization = quantized_variant(target, options.quantization, options.models, say, options.home / "models")
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()  # what a checkpoint means for its own generate()
    register_attention()
    defaults = sampling_defaults(options, folder, say)
    placement = choose_placement(options.dtype)
    say(f"loading {folder.name} on {placement.describe()}{f', {quantization}' if quantization else ''}")
    with ThreadPoolExecutor(1) as beside:
        hashing = beside.submit(hash_loaded, folder, options.home, stopping)
        tokenizer = load_tokenizer(folder)
        model = load_weights(folder, placement, quantization, ATTENTION)
        hashes = hashing.result()
    notice_changes(folder, hashes, say)
    whole = int(model.config.get_text_config().max_position_embeddings)
    window = min(whole, options.max_model_len or whole)
    template = template_of(tokenizer, options.chat_template)
    max_batch = options.max_batch or (256 if placement.gpus else 64)
    method = getattr(model.config, "quantization_config", None)
    if not placement.gpus and method is None:
        pack_linear_layers(model, max_batch)
    about = {
        "target": target,
        **hashes.describe(),
        "chat_template": None if template is None else template.sha256,
        **describe_generation_config(options, folder),
        "origin": origin(folder),
        "device": torch.cuda.get_device_name() if placement.gpus else "cpu",
        "gpus": placement.gpus,
        "dtype": str(placement.dtype).removeprefix("torch."),
        "quantization": quantization or _method(method),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "transformers": transformers.__version__,
        "context_window": window,
        "max_batch": max_batch,
    }
    free = free_bytes(placement)
    decoder = BatchDecoder(
        model,
        tokenizer,
        _end_ids(model, tokenizer),
        max_batch=max_batch,
        cache_tokens=free // CACHE_SHARE // kv_bytes_per_token(entry_of(str(folder)), placement.dtype.itemsize * 8),
        kept_bytes=free // KEPT_SHARE,
        stopping=stopping,
    )
    return LoadedModel(PromptReader(tokenizer, template, window), decoder, folder, placement.gpus, defaults, about)


def _end_ids(model: Any, tokenizer: Any) -> set[int]:
    """Tokens that end an answer: those that generation_config.json and tokenizer name, and the usual ones."""
    listed = model.generation_config.eos_token_id
    ids = set(listed if is_array(listed) else [listed]) | {tokenizer.eos_token_id}
    for token in USUAL_ENDS:
        token_id = tokenizer.convert_tokens_to_ids(token)
        if isinstance(token_id, int) and token_id != tokenizer.unk_token_id:
            ids.add(token_id)
    return {int(token_id) for token_id in ids if token_id is not None}


def _method(config: Any) -> str | None:
    """The quantisation that a checkpoint comes with."""
    found = config.get("quant_method") if is_object(config) else getattr(config, "quant_method", None)
    return None if found is None else str(getattr(found, "value", found))
