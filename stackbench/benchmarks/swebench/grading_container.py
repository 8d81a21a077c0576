"""What is done in a container of an instance's image: made ready, history sealed, patches applied, tests run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stackbench.benchmarks.swebench.control_run import Control, python_tests, reading_script
from stackbench.benchmarks.swebench.environments import REPOSITORY
from stackbench.benchmarks.swebench.instances import Instance
from stackbench.benchmarks.swebench.patches import Refusal
from stackbench.errors import SandboxError, ToolError

if TYPE_CHECKING:
    from stackbench.sandbox.session import Session

__all__ = [
    "CONTROL",
    "ENVIRONMENT",
    "TestRun",
    "apply_patch",
    "make_ready",
    "read_solution",
    "read_tests",
    "run_tests",
    "seal_history",
    "write_control",
]

TEMPORARY = "/opt/tmp"
"""Not below /tmp: some projects' tests fail where they and their temporary files lie under one folder."""
ENVIRONMENT = {
    "HOME": f"{TEMPORARY}/home",
    "TMPDIR": TEMPORARY,
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "",
    "GIT_TERMINAL_PROMPT": "0",
    # the environment of an image made here, or of one of swebench's
    "PATH": "/opt/testbed/bin:/opt/miniconda3/envs/testbed/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PIP_NO_INDEX": "1",
}
PATCH = f"{TEMPORARY}/patch.diff"
TEST_PATCH = f"{TEMPORARY}/tests.diff"
CONTROL = f"{TEMPORARY}/tests"
READ_WHOLE = 'eval "$(cat)"'
"""Bash reads a script to its end before it begins: no file holds it for what it starts to read or to change."""
STEP_TIMEOUT_S = 300.0
PROCESSES = 1024
OUTPUT_MIB = 32
# A new repository takes the commits over: whatever else the old one holds stays behind with it. Files that the
# installation left in the work tree are no part of any later difference.
SEAL = f"""set -eo pipefail
cd {REPOSITORY}
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
head=$(git rev-parse HEAD)
sealed={TEMPORARY}/sealed
git init --quiet --template= "$sealed"
git -C "$sealed" config core.logAllRefUpdates false
git -C "$sealed" config core.fileMode "$(git config core.fileMode || echo true)"
git -C "$sealed" config core.checkStat minimal
git -C "$sealed" config core.trustctime false
git -C "$sealed" config gc.auto 0
last=$head
[ "$1" = 1 ] || last=$(git rev-parse --quiet --verify HEAD^ || echo $head)
git rev-list --objects --no-walk $head $last |
  git -c pack.window=0 pack-objects --quiet --delta-base-offset "$sealed/.git/objects/pack/pack" > /dev/null
echo $last > "$sealed/.git/shallow"
git -C "$sealed" update-ref refs/heads/main $head
git -C "$sealed" symbolic-ref HEAD refs/heads/main
mkdir -p "$sealed/.git/info"
[ ! -f .git/info/exclude ] || cp .git/info/exclude "$sealed/.git/info/exclude"
git -c core.quotePath=false ls-files --others --exclude-standard | sed 's|^|/|' >> "$sealed/.git/info/exclude"
cp .git/index "$sealed/.git/index"
rm -rf .git
mv "$sealed/.git" .git
rmdir "$sealed"
[ "$(git rev-parse HEAD)" = "$head" ]
"""
# The order and the options of swebench 5.0.2; each begins with the tree as it was.
APPLY = f"""cd {REPOSITORY}
patch={PATCH}
clean() {{ git checkout --quiet -- . ; git clean -fdq; }}
git apply --verbose $patch && exit 0
clean; git apply --verbose --3way $patch && exit 0
clean; git apply --verbose --reject $patch && exit 0
clean; patch --batch --forward --fuzz=5 -p1 -i $patch && exit 0
git apply --check --reverse $patch 2>/dev/null && exit 0
clean
exit 1
"""
# Names as they are, whole files' contents as text, nothing that the work tree's own settings could put in.
DIFF = f"""cd {REPOSITORY} || exit 3
export GIT_INDEX_FILE={TEMPORARY}/solution.index GIT_ATTR_NOSYSTEM=1
cp .git/index $GIT_INDEX_FILE 2>/dev/null
git -c core.hooksPath=/dev/null -c core.fsmonitor=false add --all . || exit 4
exec git -c core.quotePath=false -c core.hooksPath=/dev/null diff --cached --no-color --no-ext-diff --no-textconv \\
  --no-renames --binary --src-prefix=a/ --dst-prefix=b/ "$1"
"""


@dataclass(frozen=True, slots=True)
class TestRun:
    """A test script that has ended."""

    log: str
    exit_code: int | None
    seconds: float
    timed_out: bool = False
    too_much_output: bool = False
    oom_kills: int = 0
    """Processes that the kernel ended because the container had no memory left."""


async def make_ready(session: Session) -> None:
    """Gives the container's user a home, a place for temporary files and a name. Raises SandboxError."""
    try:
        for folder in (TEMPORARY, ENVIRONMENT["HOME"]):
            await session.make_directory(folder, root="/", privileged=True, mode=0o1777)
        user = (await session.run(["id", "-u"])).stdout.decode().strip()
        users = await session.read("/etc/passwd", root="/", privileged=True)
        line = f"agent:x:{user}:{user}::{ENVIRONMENT['HOME']}:/bin/bash\n".encode()
        await session.write("/etc/passwd", users.data + line, root="/", privileged=True)
    except ToolError as error:
        raise SandboxError(f"a container could not be made ready: {error}") from error


async def seal_history(session: Session, *, keep_base: bool) -> str:
    """Leaves one commit in the repository (with `keep_base` its parent too) and no other object; returns its hash.

    Raises:
        SandboxError: the image has no repository, or git cannot read it.
    """
    done = await session.run(
        ["bash", "-c", SEAL, "seal", "2" if keep_base else "1"], env=ENVIRONMENT, timeout_s=STEP_TIMEOUT_S, merge=True
    )
    if done.exit_code:
        raise SandboxError(f"the history in {REPOSITORY} cannot be sealed: {_tail(done.stdout)}")
    head = await session.run(["git", "rev-parse", "HEAD"], cwd=REPOSITORY, env=ENVIRONMENT)
    return head.stdout.decode().strip()


async def apply_patch(session: Session, patch: str) -> tuple[bool, str]:
    """Whether a patch applies, by swebench's ways one after the other; and what they said."""
    await session.write(PATCH, patch.encode("utf-8", "surrogateescape"), root="/")
    done = await session.run(["bash", "-c", APPLY], env=ENVIRONMENT, timeout_s=STEP_TIMEOUT_S, merge=True)
    return done.exit_code == 0, done.stdout.decode(errors="replace")


async def read_tests(session: Session, instance: Instance) -> dict[str, str]:
    """The Python files of the instance's tests, as they are when they run; by path. The work tree is left with them."""
    await session.write(TEST_PATCH, instance.test_patch.encode("utf-8", "surrogateescape"), root="/")
    program = reading_script(instance, TEST_PATCH)
    done = await session.run(
        ["bash", "-c", program], cwd=REPOSITORY, env=ENVIRONMENT, timeout_s=STEP_TIMEOUT_S, merge=True
    )
    found: dict[str, str] = {}
    if done.exit_code == 0:
        for path in python_tests(instance):
            content = await session.read(path, root=REPOSITORY)
            found[path] = content.data.decode("utf-8", "surrogateescape")
    return found


async def write_control(session: Session, control: Control) -> None:
    """Puts the files of a control where `with_files` takes them from; the test patch is taken back."""
    for path, text in control.files.items():
        await session.write(f"{CONTROL}/{path}", text.encode("utf-8", "surrogateescape"), root="/")
    program = f"git apply --reverse {TEST_PATCH}; rm -f {TEST_PATCH}"
    await session.run(["bash", "-c", program], cwd=REPOSITORY, env=ENVIRONMENT, timeout_s=STEP_TIMEOUT_S, merge=True)


async def run_tests(session: Session, script: str, timeout_s: float) -> TestRun:
    """Runs a test script to its end, or to its limit of time or output."""
    done = await session.run(
        ["bash", "-c", READ_WHOLE],
        stdin=f"exec < /dev/null\n{script}".encode("utf-8", "surrogateescape"),
        env=ENVIRONMENT,
        timeout_s=timeout_s,
        output_mib=OUTPUT_MIB,
        merge=True,
        processes=PROCESSES,
        alone=True,
    )
    log = done.stdout.decode(errors="replace")
    timed_out = done.reason == "timed out"
    if timed_out:
        log += f"\n\nTimeout error: {timeout_s:.0f} seconds exceeded."
    return TestRun(
        log=log,
        exit_code=done.exit_code if done.reason == "ended" else None,
        seconds=done.wall_s,
        timed_out=timed_out,
        too_much_output=done.reason == "output limit",
        oom_kills=await _oom_kills(session),
    )


async def read_solution(session: Session, base: str) -> str | Refusal:
    """What changed in the work tree since `base`, as a patch; or why there is none."""
    done = await session.run(
        ["bash", "-c", DIFF, "diff", base], env=ENVIRONMENT, timeout_s=STEP_TIMEOUT_S, output_mib=OUTPUT_MIB
    )
    if done.reason == "output limit":
        return Refusal(f"the work tree's changes are larger than {OUTPUT_MIB} MiB")
    if done.exit_code or done.reason != "ended":
        return Refusal("the repository is gone, or git cannot read what is left of it")
    return done.stdout.decode("utf-8", "surrogateescape")


async def _oom_kills(session: Session) -> int:
    """The kernel's own count for the container's cgroup (version 2, or 1)."""
    files = "/sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control"
    try:
        done = await session.run(f"cat {files} 2>/dev/null")
    except ToolError:
        return 0
    found = re.search(r"^oom_kill (\d+)$", done.stdout.decode(errors="replace"), re.MULTILINE)
    return int(found[1]) if found else 0


def _tail(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines() or ["no output"]
    return lines[-1][:300]
