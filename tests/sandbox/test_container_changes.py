"""What an agent changed in one container is the same in another that the changes were put into."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from stackbench.errors import ToolError
from stackbench.sandbox.container_changes import ChangeTracker, ContainerChanges
from stackbench.sandbox.pool import SandboxPool
from stackbench.sandbox.session import Session
from stackbench.sandbox.spec import SandboxSpec

pytestmark = pytest.mark.docker

WORKDIR = "/usr/share/doc"
"""A folder that the image has files in, with folders and links."""
STATE = f"""cd / && find .{WORKDIR} ./tmp ./var/tmp ./opt -mindepth 1 -printf '%p|%y|%m|%s|%l|%n|' \
-exec sh -c '[ -d "$1" ] && echo || stat -c %Y "$1"' x {{}} ';' | sort; \
find .{WORKDIR} ./tmp -type f -print0 | sort -z | xargs -0 md5sum"""


@pytest.fixture(scope="module")
async def writable(image: str) -> AsyncIterator[SandboxPool]:
    spec = SandboxSpec(image, workdir=WORKDIR, writable=True, memory_mib=1024, disk_mib=200, files=50_000)
    pool = SandboxPool(spec, size=2)
    yield pool
    await pool.close()


async def shell(session: Session, script: str) -> str:
    done = await session.run(["bash", "-c", script], timeout_s=120, merge=True)
    said = done.stdout.decode(errors="surrogateescape")
    assert done.exit_code == 0, said
    return said


PREPARE = """mkdir -p old/deep/er gone/below; echo 1 > old/deep/er/file; echo 2 > gone/below/file; echo 3 > kind
echo 4 > moved; git init -q repo; cd repo
export GIT_AUTHOR_DATE="@1000000000 +0000" GIT_COMMITTER_DATE="@1000000000 +0000"
git config user.email a@b; git config user.name a; echo 5 > a
echo '*.log' > .gitignore; git add .; git commit -qm one"""
WORK = """rm -r gone; mv old new; rm kind; mkdir kind; echo in > kind/in; mv moved 'a b
c'; echo -n > ./-rf; ln -s ../x link; ln 'a b
c' hard; mkfifo pipe; printf '\\377' > "$(printf 'bad\\377name')"; chmod 751 new/deep; chmod 4600 kind/in
touch -d 2001-02-03 kind/in; mkdir -m 700 /tmp/own; echo t > /tmp/own/t; echo v > /var/tmp/v
python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('sock')"
cd repo; echo 6 >> a; git commit -qam two; echo 7 > b.log; echo 8 > c; git add c; rm a"""


async def test_changes_are_the_same_in_another_container(writable: SandboxPool) -> None:
    async with writable.lease() as first, writable.lease() as second:
        for session in (first, second):
            await shell(session, PREPARE)
        tracker = await ChangeTracker.begin(first)
        before = await shell(first, STATE)
        nothing = await tracker.take()
        assert nothing.removed == b""
        await shell(first, WORK)
        changes = await tracker.take()
        assert b"gone\0" in changes.removed and b"gone/below" not in changes.removed
        assert len(changes.archive) < 20_000

        other = await ChangeTracker.begin(second)
        await other.put(changes)
        wanted = await shell(first, STATE)
        left = await shell(second, STATE)
        assert wanted != before
        differing = set(wanted.splitlines()) ^ set(left.splitlines())
        assert [line.split("|")[:2] for line in differing] == [[f".{WORKDIR}/sock", "s"]]
        git = "cd repo; git log --format=%s; git status --short --ignored"
        assert await shell(second, git) == await shell(first, git) == "two\none\n D a\nA  c\n!! b.log\n"
        # what is taken from the second holds what was put into it
        again = await other.take()
        assert again.removed == changes.removed
        assert abs(len(again.archive) - len(changes.archive)) < 500


async def test_changes_that_cannot_be_kept_are_told(writable: SandboxPool) -> None:
    async with writable.lease() as session:
        tracker = await ChangeTracker.begin(session)
        await shell(session, "head -c 80M /dev/urandom > big")
        with pytest.raises(ToolError, match=r"^the changes are larger than 64 MiB$"):
            await tracker.take()
        await shell(session, "rm big; echo x > secret; chmod 0 secret")
        with pytest.raises(ToolError, match="^the changes cannot be read: .*secret: Cannot open: Permission denied"):
            await tracker.take()
        with pytest.raises(ToolError, match="^the changes cannot be made: "):
            await tracker.put(ContainerChanges(b"no archive", b""))
