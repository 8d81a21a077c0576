"""Files of predictions: both formats, and the line of every fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stackbench.config import Home
from stackbench.engine import read_samples
from stackbench.errors import UsageError

FLASK, DJANGO = "pallets__flask-5063", "django__django-16139"


def row(instance_id: str, patch: str | None = "p", **more: Any) -> dict[str, Any]:
    return {"instance_id": instance_id, "model_name_or_path": "m", "model_patch": patch} | more


def written(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path


def test_lines_a_list_and_an_object_hold_the_same_predictions(home: Home, tmp_path: Path) -> None:
    rows = [row(FLASK, "```\nno fence is warned of", solution="in words"), row(DJANGO, None)]
    as_list, as_object = tmp_path / "list.json", tmp_path / "object.json"
    as_list.write_text(json.dumps(rows))
    as_object.write_text(json.dumps({one["instance_id"]: one for one in rows}))
    for path in (written(tmp_path / "p.jsonl", *rows), as_list, as_object):
        samples = read_samples(path, "swebench", home)
        assert [(key.task_id, samples.samples[key].text) for key in samples.keys] == [
            (FLASK, "```\nno fence is warned of"),
            (DJANGO, ""),
        ]
        assert samples.fenced == () and len(samples.missing) == 6


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [row(FLASK), row(DJANGO), row(FLASK)],
            "line 3: pallets__flask-5063 is there already, on line 1; swebench takes one",
        ),
        ([row("no__such-1")], 'line 1: swebench has no task "no__such-1"'),
        ([{"instance_id": FLASK}], 'line 1 has no "model_patch" as text'),
        ([row(FLASK, 7)], 'line 1 has no "model_patch" as text'),  # type: ignore[arg-type]
        ([{"model_patch": "p"}], 'line 1 has no "instance_id"'),
        ([row(FLASK, "a\ud800")], 'line 1: "model_patch" has half of a character'),
        (
            [row(FLASK), row(DJANGO, model_name_or_path="n")],
            'line 2: "model_name_or_path" is another than on line 1; score each model',
        ),
        ([[1]], "line 1 is not a JSON object"),
        ([], "holds no samples"),
    ],
)
def test_a_fault_is_told_with_its_line(home: Home, tmp_path: Path, rows: list[Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_samples(written(tmp_path / "p.jsonl", *rows), "swebench", home)
    assert said in str(caught.value)


@pytest.mark.parametrize(("text", "said"), [("{", "is not JSON"), ("7", "is neither a list of samples nor an object")])
def test_a_file_that_is_no_list_is_refused(home: Home, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        read_samples(path, "swebench", home)
