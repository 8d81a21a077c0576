"""Lists the container's processes, our own left out."""

import os

from . import users

TICKS = os.sysconf("SC_CLK_TCK")


def listing(ours):
    found = []
    for name in sorted(filter(str.isdigit, os.listdir("/proc")), key=int):
        pid = int(name)
        if pid in ours:
            continue
        try:
            with open("/proc/%s/stat" % name) as file:
                fields = file.read().rpartition(")")[2].split()
            with open("/proc/%s/cmdline" % name, "rb") as file:
                words = file.read().rstrip(b"\0").split(b"\0")
            uid = os.stat("/proc/%s" % name).st_uid
        except (OSError, ValueError):
            continue
        found.append(
            {
                "pid": pid,
                "parent": int(fields[1]),
                "state": fields[0],
                "user": users.name_of(uid),
                "command": [word.decode("utf-8", "backslashreplace") for word in words],
                "cpu_s": (int(fields[11]) + int(fields[12])) / TICKS,
                "memory_bytes": int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
            }
        )
    return found
