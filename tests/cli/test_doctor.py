from __future__ import annotations

import re
from pathlib import Path

import pytest

from stackbench.cli import machine as screen
from stackbench.cli.fetching import models_list
from stackbench.config import Home
from stackbench.engine import doctor
from stackbench.engine.doctor import Check, examine
from stackbench.models.manifest import load_manifest
from stackbench.voice.weights import known_weights

PATH = "/home/somebody/.cache/stackbench/models/a-model-with-a-name-that-is-far-longer-than-any-column"
COMMAND = "stackbench models pull a-model-with-a-name-that-is-far-longer-than-any-column-of-a-narrow-terminal"


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_command_is_broken_at_any_width(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    checks = [
        Check("embedded model", "missing", "a word " * 30, COMMAND),
        Check("disk", "ok", ":fire: [b]9[/b] GiB", "x"),
        Check("home", "ok", f"a word {PATH} and words behind it", ""),
    ]
    monkeypatch.setattr(doctor, "examine", lambda home: checks)
    assert screen.doctor(tmp_path, as_json=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.endswith(f"fix: {COMMAND}") for line in lines)
    assert any(line.startswith("ok ") and ":fire: [b]9[/b] GiB" in line for line in lines)
    assert any(PATH in line.split() for line in lines)
    assert all(len(line.rstrip()) <= width for line in lines[:-1] if "fix:" not in line and PATH not in line)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_models_are_listed_a_line_or_two_each(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    models_list(tmp_path, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    models = {**load_manifest(), **known_weights()}
    assert len(lines) <= 2 * len(models) + 2
    assert all(len(line.rstrip()) <= width for line in lines)
    for name in models:
        assert any(name in line.split() for line in lines), name
    assert any("licence" in line for line in lines)


def test_what_a_home_and_a_folder_of_data_lack_is_named(tmp_path: Path) -> None:
    (tmp_path / "data" / "gsm8k").mkdir(parents=True)
    folder = tmp_path / "home"
    folder.mkdir()
    checks = {check.name: check for check in examine(Home(folder, tmp_path / "data", "--home"))}
    assert checks["home"].found == f"{folder} (--home); not there yet: database, models, data (made when needed)"
    assert checks["STACKBENCH_DATA"].state == "missing"
    assert re.search(r"has 0 of \d+ files; it lacks .*gsm8k/", checks["STACKBENCH_DATA"].found)
    gone = {check.name: check for check in examine(Home(folder, tmp_path / "none"))}["STACKBENCH_DATA"]
    assert (gone.state, gone.found) == ("broken", f"{tmp_path / 'none'} is no folder")
    unset = {check.name: check for check in examine(Home(folder))}["STACKBENCH_DATA"]
    assert unset.state == "missing" and unset.found.startswith("not set")
    assert {"disk", "vllm: models", "voice", "extra report"} <= checks.keys()
