from __future__ import annotations

import json
from pathlib import Path

import pytest

from stackbench.errors import ModelNotAvailableError
from stackbench.models import ModelOptions
from stackbench.models.generation_config import checkpoint_sampling, describe_generation_config, sampling_defaults

CHECKPOINT = ModelOptions(generation_config="checkpoint")


def write(folder: Path, **values: object) -> None:
    (folder / "generation_config.json").write_text(json.dumps(values))


def test_the_sampling_of_a_checkpoint_is_read(tmp_path: Path) -> None:
    write(tmp_path, temperature=0.7, top_p=0.8, top_k=20, min_p=0, repetition_penalty=1.05, eos_token_id=[1, 2], x="y")
    said: list[str] = []
    found = {"temperature": 0.7, "top_p": 0.8, "top_k": 20, "min_p": 0.0, "repetition_penalty": 1.05}
    assert checkpoint_sampling(tmp_path) == found
    assert sampling_defaults(CHECKPOINT, tmp_path, said.append) == found
    assert sampling_defaults(ModelOptions(), tmp_path, said.append) == {}
    (line,) = said
    values = "temperature 0.7, top_p 0.8, top_k 20, min_p 0, repetition_penalty 1.05"
    assert line == f"sampling that is not set: as the checkpoint's generation_config.json has it ({values})"
    assert describe_generation_config(ModelOptions(), tmp_path) == {
        "sampling_not_set": "neutral", "generation_config": {"applied": "vllm", "checkpoint": found},
    }  # fmt: skip
    assert values in describe_generation_config(CHECKPOINT, tmp_path)["sampling_not_set"]


def test_without_sampling_it_is_greedy(tmp_path: Path) -> None:
    write(tmp_path, temperature=0.7, do_sample=False)
    assert checkpoint_sampling(tmp_path) == {"temperature": 0.0}
    write(tmp_path, temperature=0.7, do_sample=True)
    assert checkpoint_sampling(tmp_path) == {"temperature": 0.7}


@pytest.mark.parametrize("content", [None, "", "[1]", "nonsense", "[" * 100_000, '{"top_p": null}', "\udcff"])
def test_a_checkpoint_that_says_nothing_has_no_defaults(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "generation_config.json").write_bytes(content.encode(errors="surrogateescape"))
    assert checkpoint_sampling(tmp_path) == {}


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": -1}, {"temperature": "0.7"}, {"top_p": 1.5}, {"top_k": -3}, {"min_p": 2}, {"top_p": True},
        {"repetition_penalty": 1e9}, {"top_p": [0.5]}, {"temperature": float("nan")},
    ],
)  # fmt: skip
def test_values_that_cannot_be_are_refused_by_name_where_they_would_count(
    tmp_path: Path, values: dict[str, object]
) -> None:
    write(tmp_path, **values)
    said: list[str] = []
    (name,) = values
    with pytest.raises(ModelNotAvailableError, match=f"generation_config.json: {name} is .*no number from"):
        sampling_defaults(CHECKPOINT, tmp_path, said.append)
    assert sampling_defaults(ModelOptions(), tmp_path, said.append) == {}
    assert name in describe_generation_config(ModelOptions(), tmp_path)["generation_config"]["checkpoint"]
