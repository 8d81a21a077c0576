from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from stackbench import bounded_files
from stackbench.errors import GenerationError, ModelNotAvailableError
from stackbench.models.replay import ReplayModel
from stackbench.types import AttemptKey, Generation, Request, Sampling


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


async def test_what_one_seed_ended_with_is_not_taken_from_another(tmp_path: Path) -> None:
    answer, other = AttemptKey("humaneval", "t", 0, 3), AttemptKey("humaneval", "t", 0, 4)
    recordings = [(answer, [Generation("right")]), (AttemptKey("humaneval", "u", 0, 4), [Generation("of u")])]
    failed = ReplayModel("replay:x", recordings, "run x", errors={other: "HTTP 500"}, of_run=True)
    with pytest.raises(GenerationError, match="HTTP 500"):
        await failed.generate([ask("t", 0, 4)])
    stopped = ReplayModel("replay:x", recordings, "run x", of_run=True)
    assert (stopped.holds(answer), stopped.holds(other), stopped.holds(AttemptKey("humaneval", "t", 0, 9))) == (
        True, False, True,
    )  # fmt: skip


ROW = '{"benchmark": "b", "task_id": "t", "completion": "c", '


@pytest.mark.parametrize(
    "line",
    [
        "not json", "[]", "7", '{"task_id": "t"}', "[" * 10_000, ROW + f'"x": {"[" * 200}{"]" * 200}}}',
        ROW + '"attempt": "x"}', ROW + '"attempt": -1}', ROW + '"seed": {}}', ROW + '"prompt_tokens": 1e400}',
        ROW + '"completion_tokens": 2147483648}', ROW + f'"seed": {"9" * 5000}}}',
    ],
)  # fmt: skip
def test_a_malformed_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"benchmark": "b", "task_id": "t", "completion": "c"}}\n{line}\n')
    with pytest.raises(ModelNotAvailableError, match="line 2 is no recorded attempt"):
        ReplayModel.from_file("replay:x", str(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotAvailableError, match="cannot be read"):
        ReplayModel.from_file("replay:x", str(tmp_path / "none.jsonl"))


async def test_a_packed_file_is_read_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"benchmark": "humaneval", "task_id": "t", "completion": "c"}\n'))
    model = ReplayModel.from_file("replay:x", str(path))
    assert [answer.text for answer in await model.generate([ask("t")])] == ["c"]
    monkeypatch.setattr(bounded_files, "LONGEST_LINE", 10)
    with pytest.raises(ModelNotAvailableError, match="line 1 is longer than"):
        ReplayModel.from_file("replay:x", str(path))
