"""Signals every process of a user at once, by somebody whom that user cannot signal, stop or trace."""

import os

from .users import SIGNALLER


def signal_user(uid, number):
    """One call of kill(-1): no process can fork its way past it (copy_process begins again while a signal waits).

    The sender has the user as its effective id only, which is what kill(2) asks of a sender; a receiver's signals go by
    the real and the saved one, so nothing of the user's can stop it while process 1 waits for it.
    """
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(SIGNALLER, SIGNALLER, SIGNALLER)
            os.setresuid(SIGNALLER, uid, SIGNALLER)
            os.kill(-1, number)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
