"""Runs a command and ends it, with everything it started, when its own standard input closes.

A process of its own between stackbench and a server: when stackbench ends in whatever way, `kill -9` included, the pipe
closes and nothing of the server is left. What the server's processes start in sessions of their own stays findable,
since orphans become children of this process. Standard library only; usage: guard.py GRACE_S [CLEANUP...] -- COMMAND...
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    split = arguments.index("--")
    grace_s, cleanup, command = float(arguments[0]), arguments[1:split], arguments[split + 1 :]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _ignore)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0),
    )
    while child.poll() is None:
        ready, _, _ = select.select([0, wake], [], [])
        if 0 in ready and not os.read(0, 4096):
            break
        if wake in ready and any(byte in (signal.SIGTERM, signal.SIGHUP) for byte in os.read(wake, 4096)):
            break
    end_all(child, grace_s)
    if cleanup:
        nowhere = subprocess.DEVNULL
        subprocess.run(cleanup, stdin=nowhere, stdout=nowhere, stderr=nowhere, check=False)
    code = child.returncode
    sys.exit(code if code is not None and code >= 0 else 128 - (code or 0))


def _ignore(number: int, frame: object) -> None:
    """The wake-up descriptor tells of the signal."""


def end_all(child: subprocess.Popen[bytes], grace_s: float) -> None:
    """SIGTERM to the command, time to end, then SIGKILL to whatever is left of what it started; none stays a zombie."""
    if child.poll() is None:
        child.terminate()
    deadline = time.monotonic() + grace_s
    while child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    while left := descendants(os.getpid()):
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        child.poll()
        time.sleep(0.02)
    child.wait()
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def descendants(root: int) -> list[int]:
    """Processes below this one, zombies aside."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[0] != b"Z":
            parents[int(folder.name)] = int(fields[1])
    found: list[int] = []
    below = {root}
    while True:
        more = {pid for pid, parent in parents.items() if parent in below and pid not in below}
        if not more:
            return found
        found += more
        below |= more


if __name__ == "__main__":
    main(sys.argv[1:])
