from __future__ import annotations

from typing import Any

import pytest

from stackbench.engine.run_model import check_same_model
from stackbench.errors import UsageError
from stackbench.store.reader import RunInfo

ONE = {"sha256": "1" * 64, "files": {"a.safetensors": "x", "config.json": "y"}}
TWO = {"sha256": "2" * 64, "files": {"a.safetensors": "z", "config.json": "y"}}


def run_of(model: dict[str, Any]) -> RunInfo:
    environment = {"model": model} if model else {}
    return RunInfo("r1", "eval", "interrupted", "", None, "hf:m", {}, (0,), None, environment)


def test_a_run_is_not_resumed_with_other_files_of_its_model() -> None:
    with pytest.raises(UsageError, match=r"other files of hf:m \(a.safetensors\): its sha256 was 1{12}, it is 2{12}"):
        check_same_model(run_of(ONE), TWO)


@pytest.mark.parametrize(
    ("before", "now"), [(ONE, ONE), ({}, TWO), ({"kind": "openai"}, {"kind": "openai"}), (ONE, {})]
)
def test_a_run_whose_model_is_the_same_or_has_no_files_is_resumed(before: dict[str, Any], now: dict[str, Any]) -> None:
    check_same_model(run_of(before), now)
