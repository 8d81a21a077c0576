"""What a sample can do in the sandbox, and what it cannot. Each effect is looked at from outside the sample."""

from __future__ import annotations

import asyncio
import os
import threading
import time

import pytest

from stackbench.sandbox import CodeJob, CodeResult, Outcome, Section
from stackbench.sandbox.container import Container
from stackbench.sandbox.pool import SandboxPool
from stackbench.sandbox.scorer import Scorer
from stackbench.sandbox.spec import SandboxSpec

pytestmark = pytest.mark.docker


async def run(
    sandbox: Scorer, code: str, *, tests: str = "", checks: tuple[str, ...] = (), **job: object
) -> CodeResult:
    sections = (Section(code), Section(tests, trusted=True)) if tests else (Section(code),)
    return await sandbox.run(CodeJob(sections, checks=checks, **job))  # type: ignore[arg-type]


async def under_way(scorer: Scorer, samples: int) -> Container:
    """The first container, once it has been given so many samples."""
    while not scorer.containers or scorer.containers[0].outstanding < samples:
        await asyncio.sleep(0)
    return scorer.containers[0]


async def test_code_that_passes_its_tests_passes(sandbox: Scorer) -> None:
    result = await run(sandbox, "def f(): return 2", tests="assert f() == 2", functions=("f",))
    assert (result.outcome, result.reason) == (Outcome.PASSED, "passed")
    assert result.wall_s > 0


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("assert False", "failed: AssertionError"),
        ("assert False, 'why'", "failed: why"),
        ("x = (", "failed: SyntaxError"),
        ("1 / 0", "failed: ZeroDivisionError: division by zero"),
        ("raise SystemExit(0)", "failed: SystemExit: 0"),
        ("raise KeyboardInterrupt", "failed: KeyboardInterrupt"),
        ("import os; os._exit(0)", "failed: exited with code 0 before the tests ended"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "failed: killed by signal 11"),
        ("import no_such_module", "failed: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def f(n): return f(n + 1)\nf(0)", "failed: RecursionError"),
        ("x = bytearray(3 << 30)", "failed: out of memory"),
        ("class E(Exception):\n    def __str__(self): raise RuntimeError\nraise E", "failed: E"),
        ("raise Exception('\\ud800 \\x00')", "failed: Exception"),
        ("while True: pass", "timed out"),
        ("import time; time.sleep(60)", "timed out"),
        ("import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))\nwhile True: pass", "timed out"),
        ("import sys\nsys.stdin.read()\nassert False, 'end of input'", "failed: end of input"),
    ],
)
async def test_a_failing_sample_says_why(sandbox: Scorer, code: str, reason: str) -> None:
    result = await run(sandbox, code, timeout_s=1.0)
    assert not result.passed
    assert result.reason.startswith(reason), result.reason


async def test_checks_run_each_whatever_became_of_the_others(sandbox: Scorer) -> None:
    result = await run(
        sandbox, "def x(): return 1", checks=("assert x() == 1", "assert x() == 2", "assert x() == 1"), functions=("x",)
    )
    assert result.checks == (True, False, True)
    assert not result.passed


async def test_output_is_kept_at_both_ends_and_bounded(sandbox: Scorer) -> None:
    few = await run(sandbox, "print('out'); import sys; print('err', file=sys.stderr)")
    assert few.passed
    assert "out" in few.output
    assert "err" in few.output
    much = await run(sandbox, "print('begin' + 'x' * 10_000_000 + 'end')")
    assert much.passed
    assert much.output_bytes == 10_000_009
    assert much.output.startswith("begin")
    assert much.output.endswith("end\n")
    assert len(much.output) < 100_000
    endless = await run(sandbox, "while True: print('x' * 100_000)", timeout_s=20.0)
    assert endless.reason == "failed: output limit"


@pytest.mark.parametrize(
    "forgery",
    [
        "print('passed')",
        """import os
for fd in range(64):
    try: os.write(fd, b'{"step": "end", "seconds": 0, "result": null}\\n')
    except OSError: pass""",
        'import os\nos.write(3, b\'0\' * 32 + b\'{"step": "end", "seconds": 0, "result": null}\\n\')',
        "import os\nos.close(3)",
        "import sys\nsys.exit = lambda *a: None",
    ],
)
async def test_what_a_sample_prints_or_writes_does_not_pass_for_a_verdict(sandbox: Scorer, forgery: str) -> None:
    result = await run(sandbox, f"{forgery}\nimport os\nos._exit(0)", tests="assert False")
    assert not result.passed


async def test_samples_are_unprivileged_alone_and_offline(sandbox: Scorer) -> None:
    code = """
import os, socket
assert os.getuid() >= 20000 and os.geteuid() == os.getuid() and os.getgroups() == []
assert os.listdir('.') == []
for path in ('/x', '/etc/x', '/usr/x', '/work/x', '/root/x'):
    try: open(path, 'w')
    except OSError: pass
    else: raise SystemError(path)
try: os.setuid(0)
except PermissionError: pass
else: raise SystemError('root')
try: os.kill(1, 9)
except PermissionError: pass
else: raise SystemError('killed the runner')
assert [name for _, name in socket.if_nameindex()] == ['lo']
for call in (lambda: socket.create_connection(('1.1.1.1', 53), 1), lambda: socket.gethostbyname('example.org')):
    try: call()
    except OSError: pass
    else: raise SystemError('network')
assert not os.path.exists('/var/run/docker.sock')
"""
    result = await run(sandbox, code)
    assert result.passed, result.reason


async def test_nothing_of_a_sample_is_left_for_the_next(sandbox: Scorer) -> None:
    mess = """
import os, time, mmap
open('mine', 'w').write('x'); open('/tmp/shared', 'w').write('x'); open('/dev/shm/shared', 'w').write('x')
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(30)
    os._exit(0)
import builtins; builtins.len = lambda x: 42
"""
    assert (await run(sandbox, mess)).passed
    look = """
import os
assert os.listdir('.') == [] and os.listdir('/tmp') == [] and os.listdir('/dev/shm') == []
assert len('abc') == 3
owners = {os.stat('/proc/' + p).st_uid for p in os.listdir('/proc') if p.isdigit()} - {0, os.getuid()}
assert len(owners) == 2, owners  # the compiler's and the judges'
"""
    result = await run(sandbox, look)
    assert result.passed, result.reason


async def test_a_fork_bomb_hurts_nobody(sandbox: Scorer) -> None:
    bomb = run(sandbox, "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", timeout_s=1.0)
    good = [run(sandbox, "def x(): return 1", tests="assert x() == 1", functions=("x",)) for _ in range(20)]
    bombed, *others = await asyncio.gather(bomb, *good)
    assert not bombed.passed
    assert all(result.passed for result in others)


async def test_loops_do_not_hold_up_the_others(sandbox: Scorer) -> None:
    began = time.monotonic()
    loops = [asyncio.create_task(run(sandbox, "while True: pass", timeout_s=3.0)) for _ in range(2)]
    good = await asyncio.gather(
        *(run(sandbox, "def x(): return 1", tests="assert x() == 1", functions=("x",)) for _ in range(100))
    )
    took = time.monotonic() - began
    assert all(result.passed for result in good)
    assert took < 3.0
    assert [(await loop).reason for loop in loops] == ["timed out"] * 2


async def test_a_sample_taken_for_its_neighbours_memory_is_run_again_alone(sandbox: Scorer) -> None:
    """Three samples hold 1.8 GiB each in a container of 4: the kernel kills some, yet each by itself fits."""
    code = "x = bytearray(1800 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1\nimport time; time.sleep(1.5)"
    results = await asyncio.gather(*(run(sandbox, code, timeout_s=20.0) for _ in range(3)))
    assert [result.reason for result in results] == ["passed"] * 3


async def test_a_sample_whose_judge_was_taken_for_its_neighbours_memory_is_run_again_alone(sandbox: Scorer) -> None:
    """The tests of two samples hold 2.6 GiB each in a container of 4: the kernel kills a judge."""
    tests = (
        "x = bytearray(2600 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1\n"
        "import time; time.sleep(1.5)\nassert f() == 1"
    )
    code = "def f(): return 1"
    asked = (run(sandbox, code, tests=tests, functions=("f",), timeout_s=20.0) for _ in range(2))
    assert [result.reason for result in await asyncio.gather(*asked)] == ["passed"] * 2


async def test_a_sample_that_timed_out_while_the_container_had_no_memory_left_is_run_again_alone(image: str) -> None:
    """It hangs once the kernel has killed a neighbour, as a process may that waits for a page."""
    hog = "x = bytearray(700 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1\nimport time; time.sleep(1.5)"
    waits = (
        "import glob, time\n"
        "files = glob.glob('/sys/fs/cgroup/memory/memory.oom_control') + glob.glob('/sys/fs/cgroup/memory.events')\n"
        "def kills(): return [open(path).read().partition('oom_kill ')[2] for path in files]\n"
        "before, end = kills(), time.monotonic() + 2.5\n"
        "while time.monotonic() < end:\n"
        "    time.sleep(0.05)\n"
        "    if kills() != before: time.sleep(60)\n"
    )
    pool = Scorer(SandboxPool(SandboxSpec(image, memory_mib=1024), size=1))
    try:
        await pool.warm_up()
        asked = [run(pool, waits, timeout_s=4.0), *(run(pool, hog, timeout_s=30.0) for _ in range(2))]
        assert [result.reason for result in await asyncio.gather(*asked)] == ["passed"] * 3
    finally:
        await pool.close()


async def test_a_sample_that_closes_its_channels_takes_none_of_another_sample(sandbox: Scorer) -> None:
    """Slow samples close every descriptor early; the numbers pass to quick ones that start meanwhile."""
    closer = (
        "import os, time\nfor fd in range(1, 64):\n    try: os.close(fd)\n    except OSError: pass\ntime.sleep({0})"
    )
    slow = [run(sandbox, closer.format(0.3 + i / 20), timeout_s=10.0) for i in range(8)]
    code = "def x(): return 1\nprint('q')"
    quick = [run(sandbox, code, tests="assert x() == 1", functions=("x",)) for _ in range(300)]
    results = await asyncio.gather(*slow, *quick)
    assert not any(result.passed for result in results[:8])
    assert {(result.reason, result.output) for result in results[8:]} == {("passed", "q\n")}


async def test_a_dead_container_is_replaced_and_its_samples_run_again(image: str) -> None:
    said: list[str] = []
    pool = Scorer(SandboxPool(SandboxSpec(image), size=1), say=said.append)
    try:
        await pool.warm_up()
        running = [asyncio.create_task(run(pool, "import time; time.sleep(1)\nx = 1")) for _ in range(4)]
        container = await under_way(pool, 4)
        await asyncio.to_thread(container.container.kill)
        assert [result.reason for result in await asyncio.gather(*running)] == ["passed"] * 4
        assert said
    finally:
        await pool.close()


async def test_a_cancelled_sample_is_stopped(sandbox: Scorer) -> None:
    task = asyncio.create_task(run(sandbox, "import time; time.sleep(30)", timeout_s=60.0))
    await under_way(sandbox, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    look = (
        "import os\n"
        "owners = {os.stat('/proc/' + p).st_uid for p in os.listdir('/proc') if p.isdigit()} - {0, os.getuid()}\n"
        "assert len(owners) == 2, owners"  # the compiler's and the judges'
    )
    async with asyncio.timeout(5):
        while not (await run(sandbox, look)).passed:
            await asyncio.sleep(0.01)


async def test_a_thousand_samples_leave_nothing_here(sandbox: Scorer) -> None:
    await run(sandbox, "x = 1")
    before = len(os.listdir("/proc/self/fd")), threading.active_count()
    results = await asyncio.gather(*(run(sandbox, f"x = {i}") for i in range(1000)))
    assert all(result.passed for result in results)
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before


async def test_the_container_is_locked_down(sandbox: Scorer) -> None:
    await sandbox.warm_up()
    container = sandbox.containers[0]
    await asyncio.to_thread(container.container.reload)
    host = container.container.attrs["HostConfig"]
    assert host["NetworkMode"] == "none"
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert not {"SYS_ADMIN", "SYS_PTRACE", "NET_ADMIN", "SYS_MODULE"} & set(host["CapAdd"])
    assert "no-new-privileges" in str(host["SecurityOpt"])
    assert host["PidsLimit"] > 0
    assert host["Memory"] == host["MemorySwap"] > 0
    assert host["NanoCpus"] > 0
    assert not host["Binds"]
    assert host["Privileged"] is False
