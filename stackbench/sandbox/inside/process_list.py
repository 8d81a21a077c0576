"""Lists the container's processes, our own left out."""

from __future__ import annotations

import os

from . import users
from .procfs import is_dying, pids, stat_fields

TICKS = os.sysconf("SC_CLK_TCK")
COMMAND_KEPT = 4096  # bytes of a command line: the kernel lets one be as long as the memory


def listing(ours: set[int], *, with_dying: bool = True):
    """`with_dying` false leaves out what has been killed and is about to be gone."""
    found = []
    for pid in sorted(pids()):
        fields = None if pid in ours else stat_fields(pid)
        if fields is None or (not with_dying and is_dying(pid, fields)):
            continue
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read(COMMAND_KEPT).rstrip(b"\0").split(b"\0")
            uid = os.stat(f"/proc/{pid}").st_uid
        except OSError:
            continue
        found.append(
            {
                "pid": pid,
                "parent": int(fields[1]),
                "started": int(fields[19]),
                "state": fields[0],
                "user": users.name_of(uid),
                "command": [word.decode("utf-8", "backslashreplace") for word in words],
                "cpu_s": (int(fields[11]) + int(fields[12])) / TICKS,
                "memory_bytes": int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
            }
        )
    return found
