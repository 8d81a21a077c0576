"""Whether the container is short of memory, by its control group (Linux Documentation, cgroup-v1/memory, cgroup-v2)."""

from __future__ import annotations

GROUP = "/sys/fs/cgroup"
SHORT = 64  # short is where less than one part in so many is left


def is_memory_short(group: str = GROUP):
    """Whether hardly any memory is left that the kernel could give; False where it does not tell, as gVisor's.

    What it holds of files can be had back, and does not count.
    """
    for used, limit, stat in (
        ("memory/memory.usage_in_bytes", "memory/memory.limit_in_bytes", "memory/memory.stat"),
        ("memory.current", "memory.max", "memory.stat"),
    ):
        try:
            most, held = int(_words(group, limit)[0]), int(_words(group, used)[0])
            files = _number(group, stat, "inactive_file") + _number(group, stat, "active_file")
        except (OSError, ValueError):  # not there, or a limit of `max`
            continue
        return (most - held + files) * SHORT < most
    return False


def oom_kills(group: str = GROUP):
    """How many processes of the container the kernel has killed for want of memory; 0 where it does not tell."""
    for path in ("memory/memory.oom_control", "memory.events"):
        try:
            return _number(group, path, "oom_kill")
        except (OSError, ValueError):
            continue
    return 0


def _number(group: str, path: str, name: str):
    words = _words(group, path)
    return int(words[words.index(name) + 1])


def _words(group: str, path: str):
    with open(f"{group}/{path}") as file:
        return file.read().split()
