"""Turns a GGUF file into safetensors, which Transformers and vLLM both read, once."""

# transformers has partial types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from stackbench.errors import ModelNotAvailableError, one_line
from stackbench.extras import install_command
from stackbench.fetch import Progress, sha256_of
from stackbench.models.headers import check_gguf
from stackbench.models.sources import write_hashes, write_origin

__all__ = ["convert_gguf"]


def convert_gguf(gguf: Path, ready: Path, digest: str, progress: Progress | None = None) -> None:
    """Writes bfloat16 safetensors, tokenizer and configuration; the folder appears whole or not at all.

    `digest` is the file's sha256, kept beside the new weights' own. `progress` counts the bytes of the tensors read.

    Raises:
        ModelNotAvailableError: the local extra is missing, or the file cannot be converted.
    """
    try:
        import torch
        import transformers
    except ImportError as error:
        raise ModelNotAvailableError(
            f"a GGUF file needs the local extra ({error.name} is missing); run: {install_command('local')}"
        ) from error
    check_gguf(gguf)
    transformers.utils.logging.disable_progress_bar()
    fresh = ready.with_name(ready.name + ".fresh")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        with _bar_replaced(progress, f"converting {gguf.name}"):
            model = transformers.AutoModelForCausalLM.from_pretrained(
                gguf.parent,
                gguf_file=gguf.name,
                dtype=torch.bfloat16,
                quantization_config=transformers.GgufConfig(dequantize=True),
            )
        tokenizer = transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        model.save_pretrained(fresh)
        tokenizer.save_pretrained(fresh)
    except Exception as error:  # GGUF files come from anywhere, and every library has errors of its own
        shutil.rmtree(fresh, ignore_errors=True)
        raise ModelNotAvailableError(f"{gguf} cannot be converted: {one_line(error, 200)}") from error
    weights = {path.name: sha256_of(path) for path in sorted(fresh.glob("*.safetensors"))}
    write_origin(fresh, {"file": gguf.name, "sha256": digest})
    write_hashes(fresh, {gguf.name: digest, **weights})
    shutil.rmtree(ready, ignore_errors=True)
    os.replace(fresh, ready)


@contextlib.contextmanager
def _bar_replaced(progress: Progress | None, what: str) -> Iterator[None]:
    """Transformers draws a bar over a GGUF file's tensors whatever its settings say; `progress` is told instead."""
    import transformers.modeling_gguf_pytorch_utils as reader

    def counted(tensors: Iterable[Any], **_: Any) -> Iterator[Any]:
        listed = list(tensors)
        total, done = sum(int(tensor.n_bytes) for tensor in listed), 0
        for tensor in listed:
            yield tensor
            done += int(tensor.n_bytes)
            if progress is not None:
                progress(what, done, total)

    module: Any = reader
    before, module.tqdm = module.tqdm, counted
    try:
        yield
    finally:
        module.tqdm = before
