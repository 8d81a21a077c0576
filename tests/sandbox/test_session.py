"""What a tenant can do in a leased container, and where it stops."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest

from stackbench.errors import SandboxError, ToolError
from stackbench.sandbox import CodeJob, Section
from stackbench.sandbox.pool import SandboxPool
from stackbench.sandbox.records import HttpRoute, compare
from stackbench.sandbox.session import Session
from stackbench.sandbox.spec import SandboxSpec

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
async def pool(image: str) -> AsyncIterator[SandboxPool]:
    pool = SandboxPool(SandboxSpec(image), size=3, spare=1)
    yield pool
    await pool.close()


@pytest.fixture
async def session(pool: SandboxPool) -> AsyncIterator[Session]:
    async with pool.lease() as session:
        yield session


FETCH = """
import sys, urllib.request
answer = urllib.request.urlopen(sys.argv[1], sys.argv[2].encode() or None)
print(answer.status, answer.read())
"""


# -- commands


async def test_a_command_gives_its_output_and_exit_code(session: Session) -> None:
    done = await session.run("echo out; echo err >&2; id -u; pwd; exit 3")
    assert (done.exit_code, done.reason, done.stderr) == (3, "ended", b"err\n")
    out, uid, folder = done.stdout.split()
    assert (out, folder) == (b"out", b"/workspace")
    assert int(uid) > 1000
    assert done.wall_s > 0


async def test_a_program_is_run_without_a_shell(session: Session) -> None:
    done = await session.run(["printf", "%s|", "a b", "$HOME", ""], env={"X": "1"})
    assert done.stdout == b"a b|$HOME||"
    merged = await session.run("echo a; echo b >&2", merge=True)
    assert (merged.stdout, merged.stderr) == (b"a\nb\n", b"")


async def all_have_ended(session: Session) -> None:
    """Waits for processes that were killed; pytest's own limit is the only one."""
    while await session.processes():
        await asyncio.sleep(0.01)


async def test_what_is_alone_leaves_nothing_running(session: Session) -> None:
    daemon = "setsid sleep 300 & sleep 300 & sleep 0.2; "
    await session.run(daemon + "echo")
    assert [one.command for one in await session.processes()].count(("sleep", "300")) == 2
    for rest, reason in (("exit 3", "ended"), ("sleep 100", "timed out"), ("yes", "output limit")):
        done = await session.run(daemon + rest, timeout_s=3, output_mib=1, alone=True)
        assert done.reason == reason
        await all_have_ended(session)


async def test_a_fork_bomb_in_sessions_of_its_own_ends_with_its_command(session: Session) -> None:
    bomb = "import os\nwhile True:\n  if not os.fork(): os.setsid()"
    await session.run(["python3", "-c", bomb], timeout_s=2, processes=64, output_mib=1, alone=True)
    await all_have_ended(session)


async def test_a_time_limit_lets_other_commands_go_on_and_thaws_nothing(session: Session) -> None:
    other = await session.start("while :; do echo; sleep 0.05; done")
    tree = "sh -c 'setsid sleep 300 & wait' & sleep 100"
    assert (await session.run(tree, timeout_s=0.5)).reason == "timed out"
    assert ("sleep", "300") not in [one.command for one in await session.processes()]
    assert {one.state for one in await session.processes()} <= {"R", "S"}
    frozen = asyncio.create_task(session.run("sleep 100", timeout_s=1))
    await asyncio.sleep(0.3)
    await session.freeze()
    assert (await frozen).reason == "timed out"
    assert "T" in {one.state for one in await session.processes()}
    await session.thaw()
    assert "T" not in {one.state for one in await session.processes()}
    other.kill()


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        (["no-such-program"], {}, "no-such-program: No such file"),
        ("true", {"cwd": "/nowhere"}, "/nowhere: No such file"),
        ("true", {"cwd": "/root"}, "/root|root: Permission denied|: Permission denied"),
        (["a\0b"], {}, "NUL byte"),
        ("true", {"env": {"A": "b\0c"}}, "NUL byte"),
    ],
)
async def test_a_command_that_cannot_start_says_why(session: Session, command, options, message) -> None:
    with pytest.raises(ToolError, match=message):
        await session.run(command, **options)
    assert (await session.run("echo ok")).stdout == b"ok\n"


async def test_output_streams_while_the_command_runs(session: Session) -> None:
    process = await session.start("echo one; read line; echo two $line", stdin=True)
    pieces = process.output()
    assert (await anext(pieces)).data == b"one\n"
    process.write(b"x\n")
    assert (await anext(pieces)).data == b"two x\n"
    assert (await process.wait()).exit_code == 0


async def test_input_of_megabytes_passes_through(session: Session) -> None:
    data = bytes(range(256)) * (3 << 12)
    done = await session.run("sha256sum; echo end", stdin=data)
    import hashlib

    assert done.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()
    assert done.stdout.endswith(b"end\n")


async def test_a_background_command_outlives_others_and_takes_signals(session: Session) -> None:
    sleeper = await session.start("trap 'echo caught; exit 7' USR1; echo up; while :; do sleep 0.05; done")
    assert (await anext(sleeper.output())).data == b"up\n"
    assert any(p.pid == sleeper.pid and p.user == "agent" for p in await session.processes())
    assert (await session.run("echo meanwhile")).stdout == b"meanwhile\n"
    sleeper.send_signal(signal.SIGUSR1, group=False)
    assert (await sleeper.wait()).exit_code == 7
    killed = await session.start("sleep 60")
    killed.kill()
    assert (await killed.wait()).signal == signal.SIGKILL


async def test_a_terminal_is_one(session: Session) -> None:
    process = await session.start("tty; stty size; read x; echo got $x", stdin=True, pty=True)
    process.write(b"hello\n")
    text = b"".join([piece.data async for piece in process.output()])
    assert b"/dev/pts/" in text
    assert b"24 80" in text
    assert b"got hello" in text
    assert (await process.wait()).exit_code == 0


async def test_nothing_of_a_terminals_last_output_is_lost(session: Session) -> None:
    for number in range(40):
        done = await session.run(f"echo {number}; echo last", pty=True)
        assert done.stdout == b"%d\r\nlast\r\n" % number
    left = await session.run("sleep 30 & echo last", pty=True)
    assert left.stdout == b"last\r\n"


async def test_time_and_output_are_limited(session: Session) -> None:
    late = await session.run("setsid sleep 30 & sleep 30", timeout_s=0.3)
    assert (late.reason, late.signal) == ("timed out", 9)
    assert late.wall_s < 5
    async with asyncio.timeout(5):  # killed with the command, they may take a moment to be gone
        while [p for p in await session.processes() if p.command[:1] == ("sleep",)]:
            await asyncio.sleep(0.01)
    endless = await session.run("yes", output_mib=1, timeout_s=30)
    assert endless.reason == "output limit"
    assert len(endless.stdout) == 1 << 20
    bounded = await session.run(["python3", "-c", "x = bytearray(1 << 30)"], memory_mib=256)
    assert b"MemoryError" in bounded.stderr


async def test_a_cancelled_command_is_stopped(session: Session) -> None:
    task = asyncio.create_task(session.run("sleep 60"))
    while not [p for p in await session.processes() if "sleep" in str(p.command)]:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(5):
        while await session.processes():
            await asyncio.sleep(0.01)


async def test_what_a_command_leaves_in_the_background_may_go_on_writing(session: Session) -> None:
    done = await session.run("(sleep 0.3; echo late; echo done > marker) & echo early")
    assert done.stdout == b"early\n"
    async with asyncio.timeout(10):
        while (await session.run("cat marker")).stdout != b"done\n":
            await asyncio.sleep(0.05)


# -- files


async def test_files_are_written_read_listed_moved_and_removed(session: Session) -> None:
    assert await session.write("a/b/c.txt", b"one\ntwo\n") is True
    assert await session.write("/workspace/a/b/c.txt", b"three\n") is False
    assert (await session.read("a/b/c.txt")).data == b"three\n"
    piece = await session.read("a/b/c.txt", offset=2, size=3)
    assert (piece.data, piece.size) == (b"ree", 6)
    assert await session.make_directory("empty") is True
    assert [(e.path, e.kind) for e in await session.list()] == [("a", "directory"), ("empty", "directory")]
    assert [e.path for e in await session.list(recursive=True)] == ["a", "a/b", "a/b/c.txt", "empty"]
    await session.move("a/b/c.txt", "d.txt")
    assert (await session.status("d.txt")).size == 6
    assert (await session.run("cat d.txt; ls -l d.txt | cut -c1-10")).stdout == b"three\n-rw-r--r--\n"
    with pytest.raises(ToolError, match="Directory not empty"):
        await session.remove("a")
    await session.remove("a", recursive=True)
    assert [e.path for e in await session.list()] == ["d.txt", "empty"]


async def test_a_rewritten_file_keeps_its_mode_and_large_files_pass(session: Session) -> None:
    await session.write("run.sh", b"#!/bin/sh\necho 1\n", mode=0o755)
    await session.write("run.sh", b"#!/bin/sh\necho 2\n")
    assert (await session.run("./run.sh")).stdout == b"2\n"
    data = b"\0\xff" * (10 << 20)
    await session.write("large", data)
    assert (await session.read("large")).data == data


@pytest.mark.parametrize(
    ("operation", "arguments", "message"),
    [
        ("read", ("missing",), "missing: No such file or directory"),
        ("read", ("folder",), "folder: Is a directory"),
        ("read", ("pipe",), "pipe: it is not a regular file"),
        ("read", ("secret",), "secret: Permission denied"),
        ("read", ("file/x",), "Not a directory"),
        ("read", ("loop",), "Too many levels of symbolic links"),
        ("read", ("a\0b",), "NUL byte"),
        ("read", ("x" * 300,), "File name too long"),
        ("write", ("folder", b""), "Is a directory"),
        ("write", ("pipe", b""), "not a regular file"),
        ("write", ("readonly", b""), "readonly: Permission denied"),
        ("list", ("file",), "Not a directory"),
        ("search", ("(",), "not a regular expression"),
        ("remove", (".",), "root of the workspace"),
        ("move", ("missing", "x"), "No such file"),
    ],
)
async def test_a_file_operation_that_fails_says_why(session: Session, operation, arguments, message) -> None:
    await session.run(
        "mkdir folder; echo x > file; mkfifo pipe; ln -s loop loop; echo x > readonly; chmod 444 readonly"
    )
    await session.write("secret", b"x", mode=0o600, privileged=True)
    with pytest.raises(ToolError, match=message):
        await getattr(session, operation)(*arguments)


async def test_search_finds_lines_by_pattern_and_glob(session: Session) -> None:
    await session.write("src/a.py", b"import os\nx = 1\n")
    await session.write("src/b.txt", "\u65e5\u672c import\r\n".encode())
    await session.write("src/binary", b"import\0")
    found = await session.search("import")
    assert [(m.path, m.line, m.text) for m in found] == [("src/a.py", 1, "import os"), ("src/b.txt", 1, "日本 import")]
    assert [m.path for m in await session.search("import", glob="*.py")] == ["src/a.py"]
    assert len(await session.search("", limit=2)) == 2


async def test_a_search_that_backtracks_for_ever_is_stopped(session: Session) -> None:
    await session.write("x", b"a" * 60)
    with pytest.raises(ToolError, match="too long"):
        await session.search("(a+)+$b", timeout_s=0.5)
    assert (await session.run("echo ok")).stdout == b"ok\n"


async def test_snapshots_tell_what_changed(session: Session) -> None:
    await session.run(
        "mkdir d; echo 1 > d/kept; echo 1 > d/edited; echo 1 > d/gone; echo 1 > d/mode; ln -s kept d/link"
    )
    before = await session.snapshot()
    await session.run(
        "cd d; echo 2 > edited; rm gone; chmod 600 mode; ln -sfn edited link; touch kept; echo 1 > new; mkfifo p"
    )
    changes = compare(before, await session.snapshot())
    assert changes.added == ("d/new", "d/p")
    assert changes.removed == ("d/gone",)
    assert changes.changed == ("d/edited", "d/link", "d/mode")
    assert compare(before, before) == compare(before, before)
    with pytest.raises(ToolError, match="more than 2 entries"):
        await session.snapshot(limit=2)


# -- the HTTP service, code, the pool


async def test_the_http_service_answers_and_remembers(session: Session) -> None:
    routes = [HttpRoute("/items", body=b'{"a": 1}', headers={"Content-Type": "application/json"})]
    port = await session.start_http([*routes, HttpRoute("/items", method="POST", status=201)])
    got = await session.run(["python3", "-c", FETCH, f"http://127.0.0.1:{port}/items?q=1", ""])
    assert got.stdout == b"200 b'{\"a\": 1}'\n", got.stderr
    await session.run(["python3", "-c", FETCH, f"http://127.0.0.1:{port}/items", "hello"])
    missing = await session.run(["python3", "-c", FETCH, f"http://127.0.0.1:{port}/none", ""])
    assert b"404" in missing.stderr
    log = (await session.http_log()).requests
    assert [(r.method, r.path, r.query, r.body, r.status) for r in log] == [
        ("GET", "/items", "q=1", b"", 200),
        ("POST", "/items", "", b"hello", 201),
        ("GET", "/none", "", b"", 404),
    ]
    with pytest.raises(ToolError, match="already"):
        await session.start_http(routes)
    # Neither the service's process nor its routes are the agent's to touch.
    kill_all = "for p in /proc/[0-9]*; do [ $p = /proc/$$ ] || kill -9 ${p#/proc/}; done"
    assert b"not permitted" in (await session.run(kill_all)).stderr
    got = await session.run(["python3", "-c", FETCH, f"http://127.0.0.1:{port}/items", ""])
    assert got.exit_code == 0


async def test_code_jobs_run_beside_commands_and_leave_the_agents_things_alone(session: Session) -> None:
    sleeper = await session.start("echo mine > /tmp/mine; echo up; sleep 60")
    assert (await anext(sleeper.output())).data == b"up\n"
    job = CodeJob((Section("import os\nif os.fork() == 0:\n    import time; time.sleep(60)"),))
    assert (await session.container.run(job)).passed
    assert (await session.run("cat /tmp/mine")).stdout == b"mine\n"
    assert [p.command for p in await session.processes() if p.user != "agent"] == []
    assert any(p.pid == sleeper.pid for p in await session.processes())
    sleeper.kill()
    await sleeper.wait()


async def test_a_tenant_finds_nothing_of_the_one_before(image: str) -> None:
    pool = SandboxPool(SandboxSpec(image), size=1, spare=1)
    look = "find / -xdev -newer /proc/1 -user $(id -u) 2>/dev/null; find /workspace /tmp /var/tmp /dev/shm -mindepth 1"
    try:
        async with pool.lease() as first:
            before = (await first.run(look)).stdout
            await first.run("echo x > a; echo x > /tmp/b; echo x > /dev/shm/c; (setsid sleep 60 &)")
        async with pool.lease() as second:
            assert (await second.run(look)).stdout == before
            assert await second.processes() == []
            assert second.container is not first.container
    finally:
        await pool.close()


async def test_more_tenants_than_containers_wait_for_their_turn(image: str) -> None:
    pool = SandboxPool(SandboxSpec(image), size=2)
    most = now = 0

    async def tenant() -> None:
        nonlocal most, now
        async with pool.lease() as session:
            now += 1
            most = max(most, now)
            await session.run("sleep 0.1")
            now -= 1

    try:
        await asyncio.gather(*(tenant() for _ in range(6)))
        assert most == 2
    finally:
        await pool.close()


async def test_a_dead_container_is_told_apart_from_a_failing_command(pool: SandboxPool) -> None:
    async with pool.lease() as session:
        running = asyncio.create_task(session.run("sleep 60"))
        await session.run("true")
        await asyncio.to_thread(session.container.container.kill)
        with pytest.raises(SandboxError):
            await running
        with pytest.raises(SandboxError):
            await session.read("x")
