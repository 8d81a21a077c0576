from __future__ import annotations

import re

import pytest

from stackbench.errors import UsageError
from stackbench.models.manifest import load_manifest
from stackbench.models.memory import entry_of, kv_bytes_per_token, plan_fits, weight_bytes

GIB = 1 << 30


def test_the_manifest_holds_the_embedded_models_with_their_hashes() -> None:
    manifest = load_manifest()
    for name in ("qwen2.5-coder-0.5b-instruct", "smollm2-135m-instruct"):
        assert len(manifest[name].sha256) == 64
        assert manifest[name].sources[-1].kind == "wheels"


def test_every_size_of_the_first_baseline_is_there_with_its_quantised_checkpoints() -> None:
    manifest = load_manifest()
    for size in ("0.5b", "1.5b", "3b", "7b", "14b", "32b"):
        base = f"qwen2.5-coder-{size}-instruct"
        for suffix, quantization, bits in (("awq", "awq", 4), ("gptq-int4", "gptq", 4), ("gptq-int8", "gptq", 8)):
            entry = manifest[f"{base}-{suffix}"]
            assert (entry.quantization, entry.bits) == (quantization, bits)
            assert entry.base in manifest
            assert entry.sources[0].repo.startswith("Qwen/Qwen2.5-Coder-")
    assert {"codellama-34b-instruct", "starcoder2-15b-instruct", "deepseek-coder-33b-instruct"} <= set(manifest)


def test_entries_say_where_they_come_from_and_under_which_licence() -> None:
    for name, entry in load_manifest().items():
        assert entry.sources and entry.licence and entry.context, name
        for source in entry.sources:
            assert not source.revision or re.fullmatch("[0-9a-f]{40}", source.revision), name


@pytest.mark.parametrize(
    ("name", "gigabytes"),
    [
        # Sizes of the safetensors on the hub, as its pages tell them.
        ("qwen2.5-coder-7b-instruct", 15.2),
        ("qwen2.5-coder-32b-instruct", 65.5),
        ("qwen2.5-coder-7b-instruct-awq", 5.6),
        ("qwen2.5-coder-32b-instruct-awq", 19.3),
    ],
)
def test_weights_are_estimated_within_a_twentieth(name: str, gigabytes: float) -> None:
    assert weight_bytes(load_manifest()[name]) / 1e9 == pytest.approx(gigabytes, rel=0.05)


def test_a_tokens_keys_and_values_take_what_the_shape_says() -> None:
    # 2 * 28 layers * 4 heads * 128 * 2 bytes
    assert kv_bytes_per_token(load_manifest()["qwen2.5-coder-7b-instruct"]) == 57_344


def test_a_big_model_fits_a_small_gpu_only_when_quantised() -> None:
    fits = {fit.quantization: fit for fit in plan_fits(load_manifest()["qwen2.5-coder-7b-instruct"], 16 * GIB)}
    assert not fits["16 bits"].fits
    assert fits["awq"].fits
    assert fits["16 bits"].longest == 0  # 14.2 GiB of weights leave nothing of 14.4
    assert fits["awq"].longest > 100_000
    on_80 = plan_fits(load_manifest()["qwen2.5-coder-32b-instruct"], 80 * GIB)
    assert on_80[0].fits and on_80[0].longest > 32_768


def test_a_local_folder_is_read_from_its_configuration(small_model: str) -> None:
    from tests.conftest import MODELS

    entry = entry_of(str(MODELS / small_model))
    known = load_manifest()[small_model]
    assert (entry.layers, entry.kv_heads, entry.head_dim, entry.context) == (
        known.layers, known.kv_heads, known.head_dim, known.context,
    )  # fmt: skip


def test_a_model_that_nobody_knows_is_one_line() -> None:
    with pytest.raises(UsageError, match='nothing is known of the model "nonesuch"'):
        entry_of("nonesuch")
