"""A GGUF file of a few thousand random weights: Qwen2's architecture with one layer and a token for each byte."""

from __future__ import annotations

from pathlib import Path


def write_tiny_gguf(path: Path) -> int:
    """The bytes of its tensors."""
    import gguf
    import numpy as np
    from tokenizers import pre_tokenizers

    width, inner, heads = 32, 64, 4
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "<s>", "</s>", "ab"]
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_context_length(256)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(inner)
    writer.add_block_count(1)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 256 + [3, 3, 1])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(256)
    writer.add_eos_token_id(257)
    draw = np.random.default_rng(7)
    square, wide = (width, width), (inner, width)
    shapes = {
        "token_embd.weight": (len(tokens), width), "output.weight": (len(tokens), width),
        "output_norm.weight": (width,),
        "blk.0.attn_norm.weight": (width,), "blk.0.ffn_norm.weight": (width,),
        **{f"blk.0.attn_{name}.weight": square for name in ("q", "k", "v", "output")},
        **{f"blk.0.attn_{name}.bias": (width,) for name in ("q", "k", "v")},
        "blk.0.ffn_gate.weight": wide, "blk.0.ffn_up.weight": wide, "blk.0.ffn_down.weight": (width, inner),
    }  # fmt: skip
    size = 0
    for name, shape in shapes.items():
        weights = draw.normal(size=shape).astype(np.float32)
        size += weights.nbytes
        writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return size
