"""What /proc and a wait status tell about processes."""

from __future__ import annotations

import os
import signal

PAGE = os.sysconf("SC_PAGE_SIZE")
PF_EXITING = 0x4  # Linux include/linux/sched.h


def pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def stat_fields(pid: int):
    """The fields of /proc/PID/stat from the state on (proc_pid_stat(5)); None for a process that has gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split() or None
    except OSError:
        return None


def ending_of(status: int):
    """A wait status as an answer's field: the signal, or the exit code."""
    if os.WIFSIGNALED(status):
        return {"signal": os.WTERMSIG(status)}
    return {"exit_code": os.WEXITSTATUS(status)}


def be_expendable(score: int):
    """Makes the kernel take this process first when memory is short; 1000 is the most."""
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write(str(score))


def resident_bytes(pid: int):
    """The memory that a process holds (proc_pid_statm(5)); 0 when it has gone."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * PAGE
    except (OSError, IndexError, ValueError):
        return 0


def queue_wait_s(pid: int):
    """Seconds that a process was ready to run but had no processor (Linux Documentation/scheduler/sched-stats)."""
    try:
        with open(f"/proc/{pid}/schedstat") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def is_zombie(pid: int):
    """Whether the process has ended and only waits to be reaped."""
    fields = stat_fields(pid)
    return fields is None or fields[0] == "Z"


def is_dying(pid: int, fields: list[str]):
    """Whether a process with these fields of its stat has ended, is ending, or has a signal that will end it.

    Of a signal that ends a process the kernel makes a SIGKILL that each of its threads has yet to see (complete_signal
    in Linux kernel/signal.c).
    """
    if fields[0] in "ZX" or int(fields[6]) & PF_EXITING:
        return True
    try:
        with open(f"/proc/{pid}/status") as file:
            pending = next(line for line in file if line.startswith("SigPnd:"))
    except (OSError, StopIteration):
        return True
    return bool(int(pending.split()[1], 16) & 1 << signal.SIGKILL - 1)


def parent_of(pid: int):
    """The parent's pid; None for a process that has gone."""
    fields = stat_fields(pid)
    return None if fields is None else int(fields[1])


def owner_of(path: str):
    try:
        return os.lstat(path).st_uid
    except OSError:
        return None


def pids_of(uid: int):
    """The processes of a user, those included that have ended and are not reaped."""
    return [pid for pid in pids() if owner_of(f"/proc/{pid}") == uid]


def threads_of(pid: int):
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0
