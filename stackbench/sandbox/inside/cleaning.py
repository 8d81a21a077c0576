"""Removes what a sample left behind: processes, files in its folder and in shared places."""

import os
import signal

from .proc import parent_of, pids
from .users import become

SCRATCH = ("/tmp", "/dev/shm", "/var/tmp", "/dev/mqueue")
SHORT = 16  # a file system is short of room when less than one part in so many is free


class Cleaner:
    """Cleans after users from `first_uid` on: no process and no file of theirs outlives their sample."""

    def __init__(self, first_uid):
        self.first_uid = first_uid
        try:
            self.children = os.open("/proc/self/task/%d/children" % os.getpid(), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # gVisor has no such file
            self.children = None

    def kill_strays(self, ours, alive):
        """Kills processes that ended samples left behind; they were given to us (process 1) as their parent."""
        while True:
            left = False
            for pid in self.list_children():
                if pid in ours:
                    continue
                uid = owner_of("/proc/%d" % pid)
                theirs = uid in alive
                if not theirs:
                    left = True
                    if uid is not None and uid >= self.first_uid:
                        kill_user(uid)
                try:
                    os.waitpid(pid, os.WNOHANG if theirs else 0)
                except ChildProcessError:
                    pass
            if not left:
                return

    def list_children(self):
        if self.children is not None:
            return [int(pid) for pid in os.pread(self.children, 1 << 16, 0).split()]
        return [pid for pid in pids() if parent_of(pid) == os.getpid()]

    def clean(self, folder, alive):
        """Removes a sample's folder, and files in shared places of users that are not alive."""
        try:
            os.rmdir(folder)
        except OSError:
            remove_tree(folder)
        for shared in SCRATCH:
            try:
                names = os.listdir(shared)
            except OSError:
                continue
            for name in names:
                path = shared + "/" + name
                owner = owner_of(path)
                if owner is None or owner < self.first_uid or owner in alive:
                    continue
                try:
                    os.unlink(path)
                except OSError:
                    remove_tree(path)

    def is_disk_short(self):
        for folder in ("/work", *SCRATCH[:3]):
            try:
                room = os.statvfs(folder)
            except OSError:
                continue
            if room.f_bavail * SHORT < room.f_blocks or room.f_favail * SHORT < room.f_files:
                return True
        return False


def remove_tree(path):
    """Removes a folder however deep and however named: what it holds is moved up beside it before it is removed."""
    beside, count, left = os.path.dirname(path), 0, [path]
    while left:
        folder = left.pop()
        try:
            for entry in os.scandir(folder):
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.path)
                    continue
                while True:
                    count += 1
                    moved = "%s/.gone-%d" % (beside, count)
                    if not os.path.lexists(moved):
                        break
                os.rename(entry.path, moved)
                left.append(moved)
            os.rmdir(folder)
        except OSError:
            continue


def owner_of(path):
    try:
        return os.lstat(path).st_uid
    except OSError:
        return None


def kill_group(pid):
    """Kills a process and its group; 0 (not started yet) is nobody."""
    if pid:
        for target in (os.killpg, os.kill):
            try:
                target(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass


def kill_user(uid):
    """Kills every process of a user at once: a process of that user signals all it may, itself excepted."""
    pid = os.fork()
    if pid == 0:
        try:
            become(uid)
            os.kill(-1, signal.SIGKILL)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
