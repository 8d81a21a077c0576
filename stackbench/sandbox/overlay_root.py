"""Puts an overlay over a container's root; run as a program in a helper container that shares its process namespace.

Usage: STAGE WORKDIR. The container's read-only root becomes the lower layer, the tmpfs at STAGE takes what is written.
Standard library only. Sources: mount(2), setns(2), pivot_root(2), and the kernel's Documentation/filesystems/overlayfs.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import sys

CLONE_NEWNS = 0x00020000
MS_NOSUID, MS_NODEV, MS_MOVE = 2, 4, 8192
MNT_DETACH = 2
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
"""The number of the system call, which the C library has no function for."""
OPTIONS = ("metacopy=on,redirect_dir=on", "")
"""With metacopy a change of owner alone copies no content; not every kernel has it."""

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    """Raises OSError where a call of the C library failed."""
    if result != 0:
        raise OSError(ctypes.get_errno(), what)


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """As mount(2)."""
    done = libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())
    check(done, f"mount {source} at {target}")


def mount_points() -> list[str]:
    """The mount points of process 1 below its root, the parents first."""
    with open("/proc/1/mountinfo", encoding="utf-8") as file:
        points = {re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), line.split()[4]) for line in file}
    return sorted(points - {"/"})


def mount_overlay(root: str, layers: str) -> None:
    """Mounts the overlay, with what the kernel supports of the options."""
    problem: OSError | None = None
    for options in OPTIONS:
        try:
            mount("overlay", root, "overlay", MS_NOSUID | MS_NODEV, f"{layers},{options}".rstrip(","))
        except OSError as error:
            problem = error
        else:
            return
    assert problem is not None
    raise problem


def replace_root(stage: str, workdir: str) -> None:
    """Makes the overlay the root of every process in the container."""
    points = mount_points()
    container = os.open("/proc/1/ns/mnt", os.O_RDONLY)
    check(libc.setns(container, CLONE_NEWNS), "enter the container's mount namespace")
    root = f"{stage}/root"
    for name in ("upper", "work", "root"):
        os.mkdir(f"{stage}/{name}", 0o755)
    mount_overlay(root, f"lowerdir=/,upperdir={stage}/upper,workdir={stage}/work")
    moved: list[str] = [stage]
    for point in points:
        if not any(point == other or point.startswith(f"{other}/") for other in moved):
            mount(point, root + point, flags=MS_MOVE)
            moved.append(point)
    os.chdir(root)
    check(libc.syscall(PIVOT_ROOT[platform.machine()], b".", b"."), "make the overlay the root")
    check(libc.umount2(b".", MNT_DETACH), "let go of the old root")
    os.chdir("/")
    os.rmdir(stage)
    os.makedirs(workdir, exist_ok=True)


if __name__ == "__main__":
    machine = platform.machine()  # it may read files, which are the container's later
    code = 1
    try:
        replace_root(sys.argv[1], sys.argv[2])
        code = 0
    except OSError as error:
        print(f"{error.filename or error.strerror}: {os.strerror(error.errno or 0)}", file=sys.stderr)
    except KeyError:
        print(f"not made for processors of kind {machine}", file=sys.stderr)
    sys.stderr.flush()
    os._exit(code)  # nothing of the container's is loaded any more
