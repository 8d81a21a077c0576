"""Acts on every process of a user at once, by somebody whom that user cannot signal, stop or trace."""

from __future__ import annotations

import os
import signal

from .users import SIGNALLER

TYPE_CHECKING = False  # to import typing would cost each container its memory
if TYPE_CHECKING:
    from typing import Any, Callable


def signal_user(uid: int, number: int):
    """One call of kill(-1): no process can fork its way past it (copy_process begins again while a signal waits)."""
    act_on_user(uid, lambda: os.kill(-1, number))


def kill_user(uid: int):
    signal_user(uid, signal.SIGKILL)


def act_on_user(uid: int, action: Callable[[], Any]):
    """Runs `action` in a process that may signal and renice what the user may, and waits for it.

    That process has the user as its effective id only, which is what kill(2) and setpriority(2) ask of a sender; a
    receiver's signals go by the real and the saved one, so nothing of the user's can stop it while process 1 waits.
    """
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(SIGNALLER, SIGNALLER, SIGNALLER)
            os.setresuid(SIGNALLER, uid, SIGNALLER)
            action()
        finally:
            os._exit(0)
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass
