from __future__ import annotations

from typing import Any

import pytest

from stackbench.cli.differences import difference_lines
from stackbench.config import Settings
from stackbench.engine import plan_benchmarks
from stackbench.engine.setup_differences import setup_differences
from stackbench.store import PlannedBenchmark, RunInfo


def info(
    *, names: tuple[str, ...] = ("gsm8k",), options: dict[str, Any] | None = None,
    environment: dict[str, Any] | None = None, commit: str = "abc", **settings: Any,
) -> RunInfo:  # fmt: skip
    plan = plan_benchmarks(names, Settings(model="oracle", **settings), options=options)
    config = plan.model_dump(mode="json")
    return RunInfo("r", "eval", "completed", "", None, "oracle", config, plan.settings.seeds, commit, environment or {})


def planned(sha256: str = "0" * 64) -> list[PlannedBenchmark]:
    return [PlannedBenchmark("gsm8k", 1319, 1319, 1319, {"by": "all"}, {"gsm8k/test.jsonl": sha256})]


def differences(first: RunInfo, second: RunInfo) -> dict[str, tuple[Any, Any]]:
    return setup_differences((first, second), (planned(), planned()))


def test_equal_runs_differ_in_nothing() -> None:
    assert differences(info(), info()) == {}


def test_options_are_compared_with_their_defaults_filled_in() -> None:
    assert differences(info(), info(options={"style": "auto"})) == {}
    assert differences(info(), info(options={"style": "fewshot", "shots": 5})) == {
        "gsm8k.style": ("auto", "fewshot"),
        "gsm8k.shots": (8, 5),
    }


def test_sampling_selection_and_pace_are_listed_what_is_measured_first() -> None:
    found = differences(info(concurrency=3), info(limit=20, samples=10, seeds=(1, 2), limit_seed=4, top_p=0.9))
    assert found["gsm8k.limit"] == (None, 20)
    assert found["gsm8k.temperature"] == (0.0, 0.8)
    assert found["gsm8k.samples"] == (1, 10)
    assert found["seeds"] == ([0], [1, 2])
    assert found["top_p"] == (1.0, 0.9)
    assert found["limit_seed"] == (0, 4)
    assert found["concurrency"] == (3, None)
    names = list(found)
    assert names.index("gsm8k.limit") < names.index("top_p") < names.index("concurrency")


def test_model_files_versions_and_datasets_are_listed() -> None:
    first = info(environment={"stackbench": "0.1", "model": {"files": {"w": "aa"}, "history": [1]}})
    second = info(environment={"stackbench": "0.2", "model": {"files": {"w": "bb"}, "history": [2]}}, commit="def")
    assert setup_differences((first, second), (planned(), planned("1" * 64))) == {
        "gsm8k.gsm8k/test.jsonl": ("0" * 64, "1" * 64),
        "environment.model.files.w": ("aa", "bb"),
        "commit": ("abc", "def"),
        "environment.stackbench": ("0.1", "0.2"),
    }


@pytest.mark.parametrize("width", [60, 80, 200])
def test_lines_fit_and_lose_nothing(width: int) -> None:
    pairs = {"top_p": (1.0, 0.9), "a.long.name": ("x" * 45, "y" * 45), "system": (None, "be brief")}
    lines = [line.plain for line in difference_lines(pairs, width)]
    assert all(len(line) <= width for line in lines)
    text = "\n".join(lines)
    for part in ("1.0 | 0.9", "x" * 45, "y" * 45, "- | be brief"):
        assert part in text
