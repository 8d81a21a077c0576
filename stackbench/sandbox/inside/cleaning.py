"""Removes what a sample left behind: processes, files in its folder and in shared places."""

from __future__ import annotations

import os
import signal
import time

from .procfs import owner_of, pids, pids_of, threads_of
from .signalling import kill_user

TYPE_CHECKING = False  # to import typing would cost each container its memory
if TYPE_CHECKING:
    from typing import Any, Callable

SCRATCH = ("/tmp", "/dev/shm", "/var/tmp", "/dev/mqueue")
SHORT = 16  # a file system is short of room when less than one part in so many is free
COUNTS = ("/sys/fs/cgroup/pids/pids.current", "/sys/fs/cgroup/pids.current")  # of control groups 1 and 2
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
TO_DIE_S = 1.0
LOOK_AGAIN_S = 0.0005


class Cleaner:
    """Cleans after users from `first_uid` on: no process and no file of theirs outlives their sample.

    Whatever a process does (sessions, double forks, CLONE_PARENT), its user stays, and by that it is found. To look
    through /proc after each sample would take long, so the container's number of processes is compared with what it was
    when a look found none too many. `undead` are users with a process that does not die.
    """

    def __init__(self, first_uid: int):
        self.first_uid = first_uid
        self.undead = set()
        self.quiet = b""  # the number of processes when there was none too many
        self.count_fd: Any = None
        self.size_of_empty = {
            shared: size for shared in SCRATCH for size in [size_of_empty(shared)] if size is not None
        }
        for path in COUNTS:
            try:
                self.count_fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                break
            except OSError:  # gVisor has none
                continue

    def kill_leftovers(
        self, tell_ours: Callable[[], set[int]], tell_alive: Callable[[], frozenset[int]], others_run: bool
    ):
        """Kills every process of an ended sample's user, and of others that are not alive, and reaps them."""
        if not others_run and not self.undead and self.count_fd is not None:
            count = os.pread(self.count_fd, 32, 0)
            if count == self.quiet:
                return
        else:
            count = b""
        ours, alive = tell_ours(), tell_alive()
        until = time.monotonic() + TO_DIE_S
        while True:
            left = self.owners_of_strays(ours, alive)
            if not left:
                self.undead.clear()
                self.quiet = os.pread(self.count_fd, 32, 0) if count and self.count_fd is not None else b""
                return
            for owner in left:
                kill_user(owner)
            reap(left, ours)
            if time.monotonic() > until:
                self.undead = left
                return
            time.sleep(LOOK_AGAIN_S)

    def owners_of_strays(self, ours: set[int], alive: frozenset[int]):
        owners = {owner_of(f"/proc/{pid}") for pid in pids() if pid not in ours}
        return {owner for owner in owners if owner is not None and owner >= self.first_uid and owner not in alive}

    def has_company(self, uid: int, pid: int):
        """Whether a user has more than this one process with one thread."""
        return pids_of(uid) != [pid] or threads_of(pid) > 1

    def clean(self, folder: str, tell_alive: Callable[[], frozenset[int]]):
        """Removes a sample's folder, and files in shared places of users that are not alive."""
        try:
            os.rmdir(folder)
        except OSError:
            remove(folder)
        for shared in SCRATCH:
            try:
                if os.stat(shared).st_size == self.size_of_empty.get(shared):
                    continue
                names = os.listdir(shared)
            except OSError:
                continue
            alive = tell_alive()
            for name in names:
                path = shared + "/" + name
                owner = owner_of(path)
                if owner is not None and owner >= self.first_uid and owner not in alive:
                    remove(path)

    def is_disk_short(self):
        for folder in ("/work", *SCRATCH[:3]):
            try:
                room = os.statvfs(folder)
            except OSError:
                continue
            if room.f_bavail * SHORT < room.f_blocks or room.f_favail * SHORT < room.f_files:
                return True
        return False


def size_of_empty(folder: str):
    """The size of an empty folder where a folder's size tells that it is empty, as on tmpfs; None elsewhere.

    To ask for the size costs a fifth of looking in, which is done after each sample.
    """
    probe = f"{folder}/stackbench-{os.getpid()}"
    try:
        if os.listdir(folder):
            return None
        empty = os.stat(folder).st_size
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        filled = os.stat(folder).st_size
        os.unlink(probe)
        return empty if filled > empty == os.stat(folder).st_size else None
    except OSError:
        return None


def reap(owners: set[int], ours: set[int]):
    """Reaps those of our own children that have ended; the zygote reaps its own."""
    for pid in pids():
        if pid not in ours and owner_of(f"/proc/{pid}") in owners:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass


def remove(path: str):
    """Removes a file, or a folder however deep, without ever following a link.

    Folders are walked by descriptor, one open at a time, and left by `..`; a folder that somebody moved meanwhile is
    left as it is, as its `..` is then another.
    """
    parent, name = os.path.split(path)
    try:
        at = [os.open(parent, FOLDER)]
    except OSError:
        return
    try:
        if not unlink(name, at[0]):
            remove_tree(name, at)
    except OSError:
        pass
    finally:
        os.close(at[0])


def unlink(name: str, fd: int):
    """Whether the name is gone from the folder; False for a folder."""
    try:
        os.unlink(name, dir_fd=fd)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def remove_tree(name: str, at: list[int]):
    """Removes a folder in the folder whose descriptor is `at[0]`, which is another when this returns."""
    path = []  # (device, inode) of each folder above, name in it, folders in it that are left to remove
    left = [name]
    while True:
        if left:
            name = left.pop()
            inner = enter(name, at[0])
            if inner is None:
                continue
            path.append((identity(at[0]), name, left))
            os.close(at[0])
            at[0] = inner
            left = [entry for entry in os.listdir(inner) if not unlink(entry, inner)]
        elif path:
            above, name, left = path.pop()
            outer = os.open("..", FOLDER, dir_fd=at[0])
            os.close(at[0])
            at[0] = outer
            if identity(outer) != above:
                return
            try:
                os.rmdir(name, dir_fd=outer)
            except OSError:
                pass
        else:
            return


def enter(name: str, fd: int):
    try:
        return os.open(name, FOLDER, dir_fd=fd)
    except OSError:
        return None


def identity(fd: int):
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def kill_group(pid: int):
    """Kills a process and its group; 0 (not started yet) is nobody."""
    signal_group(pid, signal.SIGKILL)


def signal_group(pid: int, number: int):
    """Sends a signal to a process and its group; 0 (not started yet) is nobody."""
    if pid:
        try:
            os.killpg(pid, number)
        except (ProcessLookupError, PermissionError):
            pass
        signal_process(pid, number)


def signal_process(pid: int, number: int):
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass
