from __future__ import annotations

import re
import shlex
import sys
import tomllib
from pathlib import Path

import pytest

from stackbench.extras import DISTRIBUTION, install_command

ROOT = Path(__file__).parents[1]
OTHER_PROJECT = re.compile(r"pip3? install[^\n]*[ '\"]stackbench(?![\w-])")


def test_the_project_file_and_the_messages_name_the_same_distribution(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == DISTRIBUTION
    assert list(project["scripts"]) == ["stackbench"]
    own, other = Path(sys.executable).parent, tmp_path / "pip"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", f"{own}:{tmp_path}")
    assert install_command("vllm") == "pip install 'stackbench-eval[vllm]'"
    monkeypatch.setenv("PATH", f"{tmp_path}:{own}")
    assert install_command("vllm") == f"{shlex.quote(sys.executable)} -m pip install 'stackbench-eval[vllm]'"


def test_nothing_tells_to_install_the_other_project_of_the_program_s_name() -> None:
    files = [*(ROOT / "stackbench").rglob("*.py"), *(ROOT / "docs").glob("*.md"), *(ROOT / "scripts").iterdir()]
    files += [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    assert OTHER_PROJECT.search("pip install stackbench") and OTHER_PROJECT.search("pip install 'stackbench[local]'")
    assert [str(file) for file in files if file.is_file() and OTHER_PROJECT.search(file.read_text())] == []
