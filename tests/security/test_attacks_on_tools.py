"""Attacks on the tools of a leased container: paths that lead out, files that are none, names, sizes, commands."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator

import pytest

from stackbench.errors import ToolError
from stackbench.sandbox.pool import SandboxPool
from stackbench.sandbox.records import HttpRoute, compare
from stackbench.sandbox.session import Session
from stackbench.sandbox.spec import SandboxSpec

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
async def pool(image: str) -> AsyncIterator[SandboxPool]:
    pool = SandboxPool(SandboxSpec(image, memory_mib=1024), size=2, spare=1)
    yield pool
    await pool.close()


@pytest.fixture
async def session(pool: SandboxPool) -> AsyncIterator[Session]:
    """A tenant; afterwards the container still works and the sandbox's own processes are the same."""
    async with pool.lease() as session:
        yield session
        assert session.container.alive
        assert (await session.run("echo well")).stdout == b"well\n"
        await session.write("still", b"works")
        assert (await session.read("still")).data == b"works"


ESCAPES = [
    "../etc/passwd",
    "/etc/passwd",
    "a/../../etc/passwd",
    "/workspace/../etc/passwd",
    "//etc/passwd",
    "/workspace2/x",
    "link-to-root/etc/passwd",
    "link-to-file",
    "link-up/etc/passwd",
    "chain",
    "a/deep-link",
    "/proc/self/environ",
    "/proc/1/environ",
    "link-to-proc/environ",
]


@pytest.mark.parametrize("path", ESCAPES)
async def test_a_path_that_leads_out_is_refused(session: Session, path: str) -> None:
    await session.run(
        "mkdir a; ln -s / link-to-root; ln -s /etc/passwd link-to-file; ln -s .. link-up; ln -s link-to-file chain;"
        "ln -s ../../etc/passwd a/deep-link; ln -s /proc/1 link-to-proc"
    )
    before = (await session.run("cat /etc/passwd | sha256sum")).stdout
    for attack in (
        session.read(path),
        session.write(path, b"x"),
        session.status(path),
        session.search("root", path),
        session.list(path),
        session.make_directory(path + "/x"),
        session.remove(path.rstrip("/") + "/x"),
        session.move("still", path + "/x"),
    ):
        with pytest.raises(ToolError, match=r"leads out of /workspace|Not a directory|No such file"):
            await attack
    assert (await session.run("cat /etc/passwd | sha256sum")).stdout == before


async def test_links_inside_the_workspace_are_followed(session: Session) -> None:
    await session.run(
        "mkdir -p a/b; echo x > a/b/f; ln -s a/b here; ln -s /workspace/a abs; ln -s ../b a/up; ln -s f a/b/g"
    )
    for path in ("here/f", "abs/b/f", "here/../b/f", "a/up/g", "./a//b/./g", "/workspace/abs/b/g"):
        if path == "a/up/g":
            with pytest.raises(ToolError):  # ../b from a is the workspace's b, which is not there
                await session.read(path)
        else:
            assert (await session.read(path)).data == b"x\n", path


async def test_a_link_exchanged_meanwhile_does_not_lead_out(session: Session) -> None:
    """A process flips a folder with a link to /etc as fast as it can while files are written and read through it."""
    flip = "mkdir d; echo mine > d/passwd; while :; do mv d e; ln -s /etc d; rm d; mv e d; done"
    flipper = await session.start(flip)
    seen: set[bytes] = set()
    for _ in range(150):
        try:
            await session.write("d/passwd", b"mine\n", parents=False)
            seen.add((await session.read("d/passwd")).data)
        except ToolError:
            continue
    flipper.kill()
    await flipper.wait()
    assert seen <= {b"mine\n", b""}
    assert b"mine" not in (await session.run("cat /etc/passwd")).stdout


async def test_hard_links_give_no_rights(session: Session) -> None:
    await session.write("secret", b"x", mode=0o600, privileged=True)
    linked = await session.run("ln secret mine; cat mine; ln /etc/shadow shadow")
    assert linked.exit_code != 0
    assert linked.stdout == b""
    # Writing exchanges the name, so that another name of the same file keeps the old content.
    await session.run("echo old > one; ln one two")
    await session.write("one", b"new\n")
    assert (await session.run("cat one two")).stdout == b"new\nold\n"


NAMES = [
    "-rf",
    "a b",
    "quote'\"",
    "new\nline",
    "\t",
    "日本",
    "café",
    "x" * 255,
    "%s%n",
    "*",
    "$HOME",
    "\\",
    "\u202e",
    ".hidden",
]


@pytest.mark.parametrize("name", NAMES)
async def test_strange_names_are_names(session: Session, name: str) -> None:
    await session.write(name, b"1")
    assert (await session.read(name)).data == b"1"
    assert name in [entry.path for entry in await session.list()]
    assert name in (await session.snapshot()).entries
    await session.move(name, "plain")
    await session.remove("plain")


async def test_names_that_are_no_text_survive_the_trip(session: Session) -> None:
    await session.run(["python3", "-c", "open(b'\\xff\\xfe', 'w').write('x')"])
    (entry,) = [entry for entry in await session.list() if entry.path.startswith("\udcff")]
    assert (await session.read(entry.path)).data == b"x"
    await session.remove(entry.path)


@pytest.mark.parametrize("name", ["a\0b", "", "/", ".", "..", "x" * 256, "/".join(["d"] * 3000)])
async def test_names_that_are_none_are_refused(session: Session, name: str) -> None:
    with pytest.raises(ToolError):
        await session.write(name, b"x", parents=False)
    with pytest.raises(ToolError):
        await session.read(name)


async def test_files_that_are_no_files_hold_nobody_up(session: Session) -> None:
    await session.run(
        "mkfifo pipe; ln -s /dev/zero zero; ln -s /dev/tty tty;python3 -c \"import socket; socket.socket(1).bind('s')\""
    )
    for path in ("pipe", "zero", "tty", "s"):
        with pytest.raises(ToolError):
            await asyncio.wait_for(session.read(path), 10)
        with pytest.raises(ToolError):
            await asyncio.wait_for(session.write(path, b"x"), 10)
    kinds = {path: entry.kind for path, entry in (await session.snapshot()).entries.items()}
    assert (kinds["pipe"], kinds["zero"], kinds["s"]) == ("fifo", "link", "socket")
    assert await session.search("x") == []


async def test_snapshots_of_hostile_trees_end(session: Session) -> None:
    tree = (
        "import os\n"
        "for i in range(3000): os.makedirs(f'many/{i}')\n"
        "os.symlink('.', 'loop'); os.symlink('/', 'root'); open('sparse', 'w').truncate(1 << 40)\n"
        "os.mkdir('closed'); open('closed/x', 'w'); os.chmod('closed', 0)\n"
        "for i in range(600):\n    os.mkdir('d'); os.chdir('d')\n"
    )
    await session.run(["python3", "-c", tree])
    snapshot = await asyncio.wait_for(session.snapshot(), 30)
    assert "closed/x" in snapshot.entries  # nothing is hidden from it
    assert sum(1 for path in snapshot.entries if path.startswith("many/")) == 3000
    assert sum(1 for path in snapshot.entries if path.endswith("/d") or path == "d") == 600
    assert not [path for path in snapshot.entries if path.startswith(("loop/", "root/"))]
    await session.run("echo x > closed2; chmod 700 closed; echo y > closed/y; chmod 0 closed")
    assert compare(snapshot, await session.snapshot()).added == ("closed/y", "closed2")
    await session.remove("d", recursive=True)


async def test_a_tree_too_deep_to_look_through_is_an_error_and_not_a_gap(session: Session) -> None:
    deep = "import os\nfor i in range(20000):\n    os.mkdir('d'); os.chdir('d')\n"
    await session.run(["python3", "-c", deep])
    try:
        assert len((await session.snapshot()).entries) > 10000
    except ToolError as error:
        assert "too deep" in str(error) or "memory" in str(error)


async def test_archives_that_unpack_to_gigabytes_fill_only_the_workspace(session: Session) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(64):
            archive.writestr(f"zeros{number}", bytes(16 << 20))
        archive.writestr("../../../tmp/escaped", b"x")
    await session.write("bomb.zip", packed.getvalue())
    done = await session.run(["python3", "-m", "zipfile", "-e", "bomb.zip", "out"], timeout_s=60)
    assert b"No space left" in done.stderr
    assert (await session.run("ls /tmp/escaped")).exit_code != 0
    await session.remove("out", recursive=True)


async def test_large_and_endless_things_are_cut(session: Session) -> None:
    await session.run(["python3", "-c", "open('big', 'w').truncate(1 << 40)"])
    piece = await session.read("big")
    assert (len(piece.data), piece.size) == (32 << 20, 1 << 40)
    assert (await session.read("big", offset=(1 << 40) - 2)).data == b"\0\0"
    await session.run("for i in $(seq 5000); do echo x > f$i; done")
    assert len(await session.list(limit=100)) == 100
    long = await session.run(["python3", "-c", "open('line', 'w').write('x' * (6 << 20))"])
    assert long.exit_code == 0
    (match,) = await session.search("x", glob="line")
    assert len(match.text) == 2000


@pytest.mark.parametrize(
    "command",
    [
        "kill -9 1",
        "kill -9 -1; true",
        "for p in /proc/[0-9]*; do cat $p/mem $p/environ; done; false",
        "cat /proc/1/fd/0",
        "echo x > /proc/1/mem",
        "mount -t tmpfs none /tmp",
        "unshare -r true",
        "chroot . true",
        "su -c true",
        "mknod d b 8 0",
        "hostname x",
        "date -s 2000-01-01",
        "echo x > /etc/passwd",
        "echo x > /usr/bin/x",
        "cp /bin/sh s && chmod u+s s && ./s -c 'test $(id -u) -eq 0'",
        "python3 -c \"import socket; socket.create_connection(('1.1.1.1', 80), 2)\"",
        "ls /work/ /root",
        "ulimit -u 100000",
    ],
)
async def test_commands_have_no_rights(session: Session, command: str) -> None:
    done = await session.run(command, timeout_s=20)
    assert done.exit_code != 0 or done.signal or command == "kill -9 -1; true"
    assert b"root:" not in done.stdout


async def test_bombs_in_commands_end_with_their_limits(session: Session) -> None:
    bomb = await session.run("b() { b | b & }; b; sleep 30", timeout_s=2, processes=100)
    assert bomb.reason in ("timed out", "ended")
    hungry = await session.run(["python3", "-c", "x = []\nwhile True: x.append(bytearray(1 << 24))"], timeout_s=20)
    assert hungry.signal == 9 or hungry.exit_code
    async with asyncio.timeout(20):
        while await session.processes():
            await session.run("kill -9 -1")


async def test_the_http_service_cannot_be_read_or_ended_by_the_agent(session: Session) -> None:
    port = await session.start_http([HttpRoute("/secret-path", body=b"secret-body")])
    spy = """
import os, sys, glob
for path in glob.glob('/proc/[0-9]*'):
    pid = int(path[6:])
    for name in ('mem', 'environ', 'maps', 'fd/3', 'fd/23', 'fd/24', 'cmdline'):
        try:
            data = open(path + '/' + name, 'rb').read(1 << 20)
        except OSError: continue
        if b'secret-' + b'path' in data: sys.exit('read')
    if pid not in (os.getpid(), os.getppid()):
        for number in (15, 9, 19):
            try: os.kill(pid, number)
            except (PermissionError, ProcessLookupError): continue
            sys.exit('killed')
"""
    assert (await session.run(["python3", "-c", spy])).stderr == b""
    fetch = f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:{port}/secret-path').read())"
    assert (await session.run(["python3", "-c", fetch])).stdout == b"b'secret-body'\n"
    assert (await session.http_log()).total == 1


async def test_requests_that_are_no_http_harm_nothing(session: Session) -> None:
    port = await session.start_http([HttpRoute("/x", body=b"y")])
    rude = f"""
import socket
post = b'POST /x HTTP/1.1\\r\\nContent-Length: '
for data in (b'', b'\\0' * 1000, b'GET ' + b'x' * 100000, post + b'99999999999\\r\\n\\r\\n', post + b'-5\\r\\n\\r\\n',
             b'GET /\\xff\\xfe HTTP/1.1\\r\\nA: \\xff\\r\\n\\r\\n'):
    s = socket.create_connection(('127.0.0.1', {port})); s.settimeout(2)
    try: s.sendall(data); s.shutdown(1); s.recv(100)
    except OSError: pass  # The server may hang up while the request is still being sent.
import urllib.request as u
print(u.urlopen('http://127.0.0.1:{port}/x').read())
"""
    result = await session.run(["python3", "-c", rude])
    assert (result.stdout, result.stderr) == (b"b'y'\n", b"")


async def test_a_thousand_operations_leave_no_descriptor_or_process(session: Session) -> None:
    container = session.container.container

    def held() -> tuple[int, int]:
        """Descriptors of the sandbox's program, and processes beside it, seen by root from outside the session."""
        descriptors = container.exec_run(["ls", "/proc/1/fd"], user="0").output.split()
        return len(descriptors), len(container.top()["Processes"] or [])

    await session.run("true")
    before = held()
    assert before[0] > 2  # the count sees them
    for _ in range(10):
        await asyncio.gather(
            *(session.write(f"f{number}", b"x") for number in range(40)),
            *(session.run(f"echo {number}") for number in range(40)),
            *(session.list() for number in range(20)),
        )
    async with asyncio.timeout(10):  # the last ones may not have been reaped yet
        while (after := held())[0] > before[0] or after[1] > before[1]:
            await asyncio.sleep(0.05)
