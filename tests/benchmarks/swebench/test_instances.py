"""Rows of both kinds, from every source; a fault names the row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from stackbench.benchmarks import create_benchmark
from stackbench.benchmarks.swebench.instance_sources import read_rows
from stackbench.benchmarks.swebench.instances import read_instances
from stackbench.datasets import DatasetStore
from stackbench.errors import ConfigError, DataCorruptError, DataNotAvailableError, UsageError

OLD: dict[str, Any] = {
    "repo": "o/r",
    "instance_id": "o__r-1",
    "base_commit": "a" * 40,
    "patch": "diff --git a/x b/x\n",
    "test_patch": "diff --git a/tests/t.py b/tests/t.py\n",
    "problem_statement": "broken",
    "hints_text": "",
    "created_at": "2024-01-01",
    "version": "1.0",
    "FAIL_TO_PASS": '["t"]',
    "PASS_TO_PASS": "[]",
    "environment_setup_commit": "b" * 40,
}
NEW = OLD | {
    "instance_id": "o__r-2",
    "image": "some/image",
    "eval_script": "#!/bin/bash\necho",
    "log_parser": "parse_log_pytest",
    "eval_type": "pass_and_fail",
    "FAIL_TO_PASS": ["t"],
    "PASS_TO_PASS": ["u"],
}


def test_both_kinds_of_rows_are_read() -> None:
    old, new = read_instances([OLD, NEW], "x")
    assert (old.fail_to_pass, old.pass_to_pass, old.environment_commit, old.eval_script) == (("t",), (), "b" * 40, "")
    assert (new.image, new.log_parser, new.pass_to_pass) == ("some/image", "parse_log_pytest", ("u",))
    assert old.digest != new.digest


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"test_patch": None}, "row 1: test_patch is not text"),
        ({"FAIL_TO_PASS": "[]"}, "FAIL_TO_PASS is empty"),
        ({"FAIL_TO_PASS": "not json"}, "FAIL_TO_PASS is no list of test names"),
        ({"PASS_TO_PASS": [1]}, "PASS_TO_PASS is no list of test names"),
        ({"repo": "../../etc"}, "repo '../../etc' is not written as SWE-bench writes it"),
        ({"instance_id": "a b"}, "instance_id 'a b' is not written"),
        ({"base_commit": "HEAD; rm -rf /"}, "base_commit 'HEAD; rm -rf /' is not written"),
        ({"version": ""}, "lacks version"),
        ({"eval_script": "echo"}, "lacks log_parser"),
    ],
)
def test_a_bad_field_is_named_with_its_row(change: dict[str, Any], said: str) -> None:
    with pytest.raises(DataCorruptError, match=said.replace("(", r"\(").replace("[", r"\[")):
        read_instances([OLD | change], "x")


@pytest.mark.parametrize("field", ["patch", "problem_statement", "FAIL_TO_PASS", "base_commit"])
def test_a_missing_field_is_named(field: str) -> None:
    row = {name: value for name, value in OLD.items() if name != field}
    with pytest.raises(DataCorruptError, match=f"x row 1.* lacks {field}"):
        read_instances([row], "x")


def test_the_same_id_twice_is_refused() -> None:
    with pytest.raises(DataCorruptError, match="x row 2 has the instance_id o__r-1 of row 1"):
        read_instances([OLD, OLD], "x")


def test_files_of_every_kind_hold_the_same_rows(tmp_path: Path) -> None:
    data = DatasetStore(tmp_path / "cache")
    (tmp_path / "rows.jsonl").write_text(json.dumps(OLD) + "\n\n" + json.dumps(OLD | {"instance_id": "o__r-3"}) + "\n")
    rows = read_rows(str(tmp_path / "rows.jsonl"), None, data).rows
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    duckdb.read_json(str(tmp_path / "rows.json")).write_parquet(str(tmp_path / "rows.parquet"))
    expected = [instance.task_id for instance in read_instances(rows, "x")]
    for name in ("rows.json", "rows.parquet"):
        found = read_instances(read_rows(str(tmp_path / name), None, data).rows, name)
        assert [instance.task_id for instance in found] == expected
        assert found[0].fail_to_pass == ("t",)


def test_a_data_set_is_found_by_name_in_the_data_folder(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "swebench"
    folder.mkdir(parents=True)
    (folder / "lite.jsonl").write_text(json.dumps(OLD) + "\n")
    data = DatasetStore(tmp_path / "cache", tmp_path / "data")
    assert read_rows("lite", None, data).source == "lite.jsonl"
    with pytest.raises(UsageError, match='no data set "lote".*did you mean "lite"'):
        read_rows("lote", None, data)
    with pytest.raises(UsageError, match="there is no file"):
        read_rows("none/of.jsonl", None, data)
    (folder / "broken.jsonl").write_text("{")
    with pytest.raises(DataCorruptError, match="line 1 is not JSON"):
        read_rows(str(folder / "broken.jsonl"), None, data)
    (folder / "broken.parquet").write_text("PAR")
    with pytest.raises(DataCorruptError, match="is no parquet file"):
        read_rows(str(folder / "broken.parquet"), None, data)


def test_the_hub_out_of_reach_is_data_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.list_repo_files", _out_of_reach)
    with pytest.raises(DataNotAvailableError, match="data not available .*verified.*STACKBENCH_DATA"):
        read_rows(None, None, DatasetStore(tmp_path))


def _out_of_reach(*arguments: Any, **more: Any) -> None:
    raise ConnectionError("no network")


def test_a_task_repository_is_read(tmp_path: Path) -> None:
    task = tmp_path / "tasks" / "o__r-2"
    task.mkdir(parents=True)
    short = {name: NEW[name] for name in ("repo", "base_commit", "version", "image", "log_parser", "eval_type")}
    (task / "task.yaml").write_text(json.dumps(short))
    (task / "tests.json").write_text(json.dumps({"FAIL_TO_PASS": ["t"], "PASS_TO_PASS": []}))
    for name, column in (("gold.patch", "patch"), ("test.patch", "test_patch"), ("eval.sh", "eval_script")):
        (task / name).write_bytes(NEW[column].replace("\n", "\r\n").encode())
    (task / "problem_statement.md").write_text("broken")
    (instance,) = read_instances(read_rows(None, tmp_path, DatasetStore(tmp_path)).rows, "x")
    assert instance.task_id == "o__r-2" and instance.gold_patch.endswith("\r\n")
    (task / "tests.json").unlink()
    with pytest.raises(DataCorruptError, match="o__r-2 is no task of a task repository"):
        read_rows(None, tmp_path, DatasetStore(tmp_path))
    with pytest.raises(UsageError, match="is no task repository"):
        read_rows(None, tmp_path / "tasks", DatasetStore(tmp_path))


def test_instances_are_chosen_by_repository_and_version(data_dir: Path, tmp_path: Path) -> None:
    data = DatasetStore(tmp_path, data_dir)
    chosen = create_benchmark("swebench", {"repos": "django/django,pallets/flask", "versions": "4.2"}).tasks(data)
    assert [task.task_id for task in chosen] == ["django__django-16139"]
    with pytest.raises(UsageError, match="has no instance of these repositories and versions; it has django/django"):
        create_benchmark("swebench", {"repos": "no/such"}).tasks(data)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"image_template": "x"}, "it has no {id}"),
        ({"image_template": "x{y}"}, "write it with {id} alone in braces"),
        ({"cache_gb": 0}, "greater than 0"),
        ({"mode": "agnet"}, 'did you mean "agent"'),
        ({"repo_miror": "x"}, 'did you mean "repo_mirror"'),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        create_benchmark("swebench", options)
    assert said in str(caught.value)
