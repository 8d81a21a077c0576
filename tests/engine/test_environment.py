from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from stackbench import __version__
from stackbench.engine import environment
from stackbench.engine.environment import git_commit, machine_environment, source_sha256


def repository(folder: Path) -> str:
    """A repository with one commit; returns its hash."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "file").write_text(folder.name)
    for arguments in (["init", "-q"], ["add", "file"], ["commit", "-qm", "one"]):
        subprocess.run(
            ["git", "-c", "user.name=n", "-c", "user.email=e@example.org", *arguments], cwd=folder, check=True
        )
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True)
    return head.stdout.strip()


class Installed(Distribution):
    """What pip wrote beside an installed package."""

    def __init__(self, direct_url: str | None) -> None:
        self._direct_url = direct_url

    def read_text(self, filename: str) -> str | None:
        return self._direct_url if filename == "direct_url.json" else None

    def locate_file(self, path: str | os.PathLike[str]) -> Path:
        return Path(path)


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_is_that_of_the_package_wherever_a_run_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, users = repository(tmp_path / "checkout"), repository(tmp_path / "project")
    assert ours != users
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "project" / ".git"))  # as a hook of the user's repository has it
    package = tmp_path / "checkout" / "stackbench"
    package.mkdir()
    assert git_commit(package) == ours
    (tmp_path / "checkout" / "file").write_text("changed")
    assert git_commit(package) == f"{ours}-dirty"


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
@pytest.mark.parametrize(
    ("direct_url", "commit"),
    [
        (json.dumps({"url": "https://example.org/x.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}), "abc"),
        (json.dumps({"url": "file:///x", "dir_info": {"editable": True}}), None),
        (None, None),
        ("broken", None),
    ],
)
def test_an_installed_package_has_the_commit_that_it_was_installed_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, direct_url: str | None, commit: str | None
) -> None:
    """Also in an environment that lies inside the user's repository."""
    repository(tmp_path)
    package = tmp_path / ".venv" / "lib" / "site-packages" / "stackbench"
    package.mkdir(parents=True)
    monkeypatch.setattr(environment, "distribution", lambda name: Installed(direct_url))
    assert git_commit(package) == commit


def test_the_version_is_recorded() -> None:
    assert machine_environment()["stackbench"] == __version__


def test_the_files_are_hashed_where_no_commit_tells_what_they_were(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "room" / "b.toml").write_text("y = 2\n")
    names = ("a.py", "room/b.toml")
    lines = "".join(f"{hashlib.sha256((tmp_path / n).read_bytes()).hexdigest()}  {n}\n" for n in names)
    first = source_sha256(tmp_path)
    assert first == hashlib.sha256(lines.encode()).hexdigest()
    (tmp_path / "a.pyc").write_bytes(b"compiled")
    assert source_sha256(tmp_path) == first
    (tmp_path / "a.py").write_text("x = 2\n")
    assert source_sha256(tmp_path) != first
