from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.mark.parametrize("script", sorted(path.name for path in SCRIPTS.iterdir()))
def test_scripts_are_valid_bash(script: str) -> None:
    subprocess.run(["bash", "-n", str(SCRIPTS / script)], check=True)


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_quickstart_explains_itself_and_sets_nothing_up(flag: str, tmp_path: Path) -> None:
    """With no program but bash and those of /bin: it could not set anything up."""
    done = subprocess.run(
        ["bash", str(SCRIPTS / "quickstart"), flag], capture_output=True, text=True, env={"PATH": "/bin"}, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    for part in ("packages", "docker", "image", "model", "--limit", "-m openai:MODEL@URL", "no sample of the 500"):
        assert part in done.stdout


@pytest.mark.parametrize(("found", "said"), [(True, False), (False, True)])
def test_quickstart_says_how_the_program_is_found_by_name(tmp_path: Path, found: bool, said: bool) -> None:
    for path, text in {
        "scripts/quickstart": (SCRIPTS / "quickstart").read_text(),
        "scripts/setup": "true\n",
        ".venv/bin/stackbench": 'echo "ran $*"\n',
        "bin/stackbench": "true\n",
    }.items():
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text if text.startswith("#!") else f"#!/usr/bin/env bash\n{text}")
        target.chmod(0o755)
    path = f"{tmp_path}/bin:/usr/bin:/bin" if found else "/usr/bin:/bin"
    script = [str(tmp_path / "scripts" / "quickstart"), "--limit", "2"]
    done = subprocess.run(script, capture_output=True, text=True, env={"PATH": path}, check=False)
    assert done.stdout == "ran --batch quickstart --limit 2\n"
    assert (f'export PATH="{tmp_path}/.venv/bin:$PATH"' in done.stderr) is said


def setup(folder: Path, **programs: str) -> subprocess.CompletedProcess[str]:
    """Runs scripts/setup in a checkout whose parts are stand-ins: bash scripts by name."""
    (folder / "scripts").mkdir(parents=True)
    (folder / "scripts" / "setup").write_text((SCRIPTS / "setup").read_text())
    for name in ("pyproject.toml", "constraints.txt"):
        (folder / name).write_text((SCRIPTS.parent / name).read_text())
    for path, text in {
        "scripts/ensure-docker": programs.get("docker", "true"),
        ".venv/bin/stackbench": programs.get("stackbench", "true"),
    }.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"#!/usr/bin/env bash\n{text}\n")
        target.chmod(0o755)
    stamp = "cat pyproject.toml constraints.txt scripts/setup | sha256sum | cut -d' ' -f1 > .venv/installed-local"
    subprocess.run(["bash", "-c", stamp], cwd=folder, check=True)
    return subprocess.run(
        ["bash", "scripts/setup", "local"], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_second_set_up_is_silent(tmp_path: Path) -> None:
    done = setup(tmp_path / "checkout")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_each_line_says_which_part_it_is_of(tmp_path: Path) -> None:
    done = setup(tmp_path / "checkout", docker="echo starting >&2", stackbench='echo "$1: at work" >&2')
    assert done.returncode == 0
    assert sorted(done.stderr.splitlines()) == ["docker: starting", "image: sandbox: at work", "model: models: at work"]


@pytest.mark.parametrize(
    ("docker", "stackbench", "said"),
    [
        ("echo none here >&2; exit 2", "true", "docker: none here"),
        ("true", '[ "$1" = models ] || { echo no image >&2; exit 3; }', "image: no image"),
        ("true", '[ "$1" = sandbox ] || { echo no weights >&2; exit 2; }', "model: no weights"),
    ],
)
def test_a_part_that_fails_ends_the_set_up_with_its_own_words(
    tmp_path: Path, docker: str, stackbench: str, said: str
) -> None:
    done = setup(tmp_path / "checkout", docker=docker, stackbench=stackbench)
    assert (done.returncode, done.stderr.strip()) == (2, said)
