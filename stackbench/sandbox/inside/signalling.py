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
    """Runs `action` with the rights of who may signal and renice what the user may, and no others.

    Process 1 has the user as its effective id only, which is what kill(2) and setpriority(2) ask of a sender; with it
    go root's capabilities until it comes back. No process is forked: where a container's memory is used up, each page
    of one would wait for the kernel's out-of-memory killer. Nothing inside can signal process 1, whatever its ids.
    """
    os.setresuid(SIGNALLER, uid, 0)
    try:
        action()
    except OSError:  # the user runs nothing
        pass
    finally:
        os.setresuid(0, 0, 0)
