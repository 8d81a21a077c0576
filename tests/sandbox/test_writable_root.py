"""A root that can be written: everywhere, by whom its files belong to, and within bounds of size, files and memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stackbench.errors import SandboxError
from stackbench.sandbox.docker import connect
from stackbench.sandbox.pool import SandboxPool
from stackbench.sandbox.session import Session
from stackbench.sandbox.spec import SandboxSpec

pytestmark = pytest.mark.docker

DISK_MIB = 64
FILES = 3000
MEMORY_MIB = 512
WORKDIR = "/usr/share/doc"
"""A folder that the image has files in, with folders and links."""


@pytest.fixture(scope="module")
async def writable(image: str) -> AsyncIterator[SandboxPool]:
    spec = SandboxSpec(
        image, workdir=WORKDIR, writable=True, memory_mib=MEMORY_MIB, disk_mib=DISK_MIB, files=FILES, processes=64
    )
    pool = SandboxPool(spec, size=2)
    yield pool
    await pool.close()


@pytest.fixture
async def session(writable: SandboxPool) -> AsyncIterator[Session]:
    async with writable.lease() as session:
        yield session


async def as_root(session: Session, program: str) -> str:
    """What a Python program prints that runs in the container with all the rights that anything there has."""
    container = session.container.container
    done = await asyncio.to_thread(container.exec_run, ["python3", "-c", program], user="0")
    assert done.exit_code == 0, done.output.decode()
    return done.output.decode()


FILL = """
import errno, os, sys
written = 0
with open({path!r}, "wb", buffering=0) as file:
    try:
        while True:
            written += file.write(bytes(1 << 20))
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
print(written >> 20)
"""
MANY_FILES = """
import errno, os
os.mkdir("/opt/many")
made = 0
try:
    while True:
        os.close(os.open("/opt/many/%d" % made, os.O_CREAT | os.O_WRONLY))
        made += 1
except OSError as error:
    assert error.errno == errno.ENOSPC, error
print(made)
"""
USE_MEMORY = """
held = []
while True:
    held.append(b"x" * (8 << 20))
"""


async def test_root_may_write_anywhere_and_nothing_of_it_reaches_the_next_tenant(writable: SandboxPool) -> None:
    write = """
import os
for path in ("/etc/new", "/usr/bin/new", "/root/new", "/new"):
    open(path, "w").write("x")
os.remove("/etc/debian_version")
open("/etc/passwd", "w").write("changed")
os.rename("/usr/share/doc", "/usr/share/other")
"""
    look = """
import os
print([p for p in ("/etc/new", "/usr/bin/new", "/root/new", "/new", "/usr/share/other") if os.path.exists(p)])
print(os.path.exists("/etc/debian_version"), open("/etc/passwd").read() == "changed")
"""
    async with writable.lease() as first:
        await as_root(first, write)
        found = "['/etc/new', '/usr/bin/new', '/root/new', '/new', '/usr/share/other']\nFalse True\n"
        assert await as_root(first, look) == found
    async with writable.lease() as second:
        assert await as_root(second, look) == "[]\nTrue False\n"


async def test_the_agent_owns_what_the_image_has_in_its_folder_and_no_more(session: Session) -> None:
    owners = await session.run("find . ! -user $(id -u) | wc -l; find . -type f | wc -l")
    foreign, files = map(int, owners.stdout.split())
    assert foreign == 0
    assert files > 50
    changed = await session.run("f=$(find . -type f | head -1); echo x > $f && cat $f; touch new && ls new")
    assert changed.stdout == b"x\nnew\n"
    assert (await session.run("echo x > /etc/new")).exit_code != 0
    assert (await session.check(f"cat {WORKDIR}/new && ls {WORKDIR} | grep -c .")).exit_code == 0


async def test_a_full_disk_is_an_error_within_its_bound_and_the_container_goes_on(session: Session) -> None:
    written = int(await as_root(session, FILL.format(path="/usr/local/full")))
    assert DISK_MIB - 8 <= written <= DISK_MIB
    assert (await session.run("echo x > new")).exit_code != 0, "there is one bound for all of the root"
    assert await size_on_engine(session) < 1 << 20, "nothing of it is on the Docker engine's disk"
    await as_root(session, "import os; os.remove('/usr/local/full')")
    assert (await session.run("echo x > new && cat new")).stdout == b"x\n"


async def test_files_are_bounded_in_number(session: Session) -> None:
    made = int(await as_root(session, MANY_FILES))
    assert FILES / 3 < made <= FILES
    assert (await session.run("echo x > /tmp/elsewhere; cat /tmp/elsewhere")).stdout == b"x\n"


async def test_files_and_programs_share_the_memory_and_the_container_outlives_its_use(session: Session) -> None:
    await as_root(session, FILL.format(path="/opt/full"))
    greedy = await session.run(["python3", "-c", USE_MEMORY], timeout_s=120)
    assert greedy.signal == 9, "the kernel takes what asks for more than the container has"
    assert greedy.max_rss_mib < MEMORY_MIB - DISK_MIB, "what is in files is taken"
    assert (await session.run("ls /opt/full")).stdout == b"/opt/full\n"


async def test_nothing_shows_the_old_root_and_nobody_may_mount(session: Session) -> None:
    seen = await as_root(
        session,
        """
import ctypes, os
print(os.path.exists("/.stackbench-root"), sum(" / / " in line for line in open("/proc/self/mountinfo")))
libc = ctypes.CDLL(None, use_errno=True)
print(libc.mount(b"x", b"/mnt", b"tmpfs", 0, b""), os.strerror(ctypes.get_errno()))
print(libc.umount2(b"/proc", 2), os.strerror(ctypes.get_errno()))
""",
    )
    assert seen == "False 1\n-1 Operation not permitted\n-1 Operation not permitted\n"


async def test_the_helper_leaves_no_container(writable: SandboxPool, session: Session) -> None:
    with contextlib.closing(await asyncio.to_thread(connect)) as client:
        label = writable.spec.labels["stackbench.pool"]
        listed = await asyncio.to_thread(
            client.containers.list, all=True, filters={"label": f"stackbench.pool={label}"}, ignore_removed=True
        )
        assert [one.id for one in listed if one.status == "running"] == [session.container.container.id]


async def test_other_runtimes_are_refused_by_name(image: str) -> None:
    from stackbench.sandbox.writable_root import make_root_writable

    with contextlib.closing(connect()) as client, pytest.raises(SandboxError, match="runtime runc, not runsc"):
        container = client.containers.create(image, ["true"])
        try:
            make_root_writable(client, container, SandboxSpec(image, writable=True, runtime="runsc"))
        finally:
            container.remove()


async def test_a_network_is_there_for_who_asks(image: str) -> None:
    if not Path("/sys/class/net/docker0").exists():
        pytest.skip("the Docker engine's default network has no bridge on this machine")
    interfaces: dict[bool, set[bytes]] = {}
    for network in (False, True):
        pool = SandboxPool(SandboxSpec(image, network=network, memory_mib=256), size=1)
        try:
            async with pool.lease() as session:
                interfaces[network] = set((await session.run("ls /sys/class/net")).stdout.split())
        finally:
            await pool.close()
    assert interfaces[False] == {b"lo"}
    assert b"eth0" in interfaces[True]


async def size_on_engine(session: Session) -> int:
    """Bytes that the Docker engine holds for a container beside its image."""
    with contextlib.closing(await asyncio.to_thread(connect)) as client:
        listed = await asyncio.to_thread(
            client.api.containers, size=True, filters={"id": session.container.container.id}
        )
    return listed[0].get("SizeRw", 0)
