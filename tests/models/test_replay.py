from __future__ import annotations

import json
from pathlib import Path

import pytest

from stackbench.errors import GenerationError, ModelNotAvailableError
from stackbench.models.replay import ReplayModel
from stackbench.types import AttemptKey, Request, Sampling


def ask(task: str, attempt: int = 0, seed: int = 0) -> Request:
    return Request(Sampling(), prompt="", key=AttemptKey("humaneval", task, attempt, seed))


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


async def test_answers_come_by_attempt_and_under_any_seed(tmp_path: Path) -> None:
    rows = [
        {
            "benchmark": "humaneval",
            "task_id": "t",
            "attempt": n,
            "seed": 5,
            "completion": f"c{n}",
            "completion_tokens": n,
        }
        for n in range(2)
    ]
    model = ReplayModel.from_file("replay:x", str(write(tmp_path / "a.jsonl", rows)))
    answers = await model.generate([ask("t", 1, 5), ask("t", 0, 9)])
    assert [(a.text, a.completion_tokens) for a in answers] == [("c1", 1), ("c0", 0)]
    with pytest.raises(GenerationError, match="no attempt 2 at humaneval t"):
        await model.generate([ask("t", 2)])


@pytest.mark.parametrize("line", ["not json", "[]", '{"task_id": "t"}'])
def test_a_malformed_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"benchmark": "b", "task_id": "t", "completion": "c"}}\n{line}\n')
    with pytest.raises(ModelNotAvailableError, match="line 2 is no recorded attempt"):
        ReplayModel.from_file("replay:x", str(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotAvailableError, match="cannot be read"):
        ReplayModel.from_file("replay:x", str(tmp_path / "none.jsonl"))
