"""A process beside the agent that tells what has changed in the workspace, and what was read, since it last looked.

It keeps what it saw: a file whose times, size and number are as they were is not read again. That files are read, the
kernel tells (inotify(7)); programs that only ask for a file's size or times do not count as reading it.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import select
import signal
import socket
import stat
import struct

from . import users
from .frames import take_apart, with_length, write_all
from .git_state import git_state, is_repository
from .procfs import be_expendable

TYPE_CHECKING = False  # to import typing would cost each container its memory
if TYPE_CHECKING:
    from typing import Any

    from .main import Loop

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MOST_ENTRIES = 100_000
MOST_READ = 5_000
DEEPEST = 200
MEMORY = 1 << 30
PATIENCE_S = 20.0
CHUNK = 1 << 20
LARGEST_HASHED = 256 << 20
IN_ACCESS, IN_CLOSE_NOWRITE, IN_Q_OVERFLOW, IN_IGNORED = 0x1, 0x10, 0x4000, 0x8000
IN_ONLYDIR, IN_DONT_FOLLOW = 0x1000000, 0x2000000
EVENT = struct.Struct("iIII")


class Observer:
    """The process's handle in process 1: starts it, asks it, passes its answers on."""

    def __init__(self, loop: Loop):
        self.loop = loop
        self.pid = 0
        self.pids = set()  # of all observers that are not reaped yet
        self.channel: Any = None
        self.data = bytearray()
        self.waiting: list[tuple[int, Any]] = []

    def ask(self, number: int, answer: Any):
        """Calls `answer` with what the process says; with None where it cannot say it."""
        try:
            if not self.pid:
                self.start()
            self.channel.send(b"?")
        except OSError:
            answer(None)
            return
        self.waiting.append((number, answer))
        self.loop.later(PATIENCE_S, lambda: self.give_up(number))

    def start(self):
        ours, theirs = socket.socketpair()
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            be_the_observer(theirs.fileno())
        theirs.close()
        ours.setblocking(False)
        self.pid, self.channel = pid, ours
        self.pids.add(pid)
        self.data = bytearray()
        self.loop.watch(ours.fileno(), self.on_answer)

    def on_answer(self):
        try:
            data = self.channel.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.stop(ended=True)
            return
        self.data += data
        for body in take_apart(self.data):
            if self.waiting:
                _, answer = self.waiting.pop(0)
                answer(json.loads(body))

    def give_up(self, number: int):
        if any(one == number for one, _ in self.waiting):
            self.stop()

    def stop(self, *, ended: bool = False):
        """Ends it; the next question starts another, which has seen nothing before."""
        if not self.pid:
            return
        self.loop.forget(self.channel.fileno())
        self.channel.close()
        if not ended and self.pid in self.pids:
            os.kill(self.pid, signal.SIGKILL)
        self.pid, self.channel = 0, None
        waiting, self.waiting = self.waiting, []
        for _, answer in waiting:
            answer(None)


def be_the_observer(fd: int):
    """Answers each byte that comes with what is new; never returns."""
    try:
        os.setsid()
        os.dup2(fd, 3)
        os.closerange(4, 4096)
        nothing = os.open("/dev/null", os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nothing, number)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        be_expendable(900)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        watched = Workspace(users.WORKSPACE)
        while os.read(3, 1):
            write_all(3, with_length(json.dumps(watched.look()).encode()))
    finally:
        os._exit(0)


class Workspace:
    """What was in the workspace when it was last looked at."""

    def __init__(self, top: str):
        self.top = top
        self.seen: Any = None  # path -> (what tells that it was touched, what it is)
        self.repositories: dict[str, Any] = {}  # path of a .git -> (its files as they lie, its state)
        self.reads = Reads()

    def look(self):
        """What differs from the last look, and the files read since; `first` where there was none."""
        read = self.reads.take()
        before, old_repositories = self.seen, self.repositories
        self.now: dict[str, Any] = {}
        self.repositories = {}
        try:
            top = os.open(self.top, FOLDER)
            try:
                self.walk(top, "", old_repositories)
            finally:
                os.close(top)
        except (OSError, RecursionError, MemoryError) as error:
            self.seen = None
            return {"failed": f"{type(error).__name__}: {error}"}
        finally:
            self.reads.take()  # our own
        self.seen = self.now
        if before is None:
            return {"first": True}
        now = self.now
        return {
            "added": [path for path in now if path not in before],
            "removed": [path for path in before if path not in now],
            "changed": [path for path, (_, what) in now.items() if path in before and before[path][1] != what],
            "read": read,
        }

    def walk(self, folder: int, prefix: str, old_repositories: Any):
        if prefix.count("/") > DEEPEST:
            raise OSError("folders are nested too deep")
        self.reads.watch(folder, prefix)
        entries = list(os.scandir(folder))
        for entry in entries:
            path = prefix + entry.name
            try:
                found = entry.stat(follow_symlinks=False)
                if not entry.is_dir(follow_symlinks=False):
                    self.note(path, folder, entry.name, found)
                    continue
                self.now[path] = (None, f"folder {found.st_mode:o}")
                below = os.open(entry.name, FOLDER, dir_fd=folder)
            except FileNotFoundError:  # it has gone meanwhile
                self.now.pop(path, None)
                continue
            try:
                if entry.name == ".git" and is_repository(os.listdir(below)):
                    self.note_repository(below, path, old_repositories)
                else:
                    self.walk(below, f"{path}/", old_repositories)
            finally:
                os.close(below)
        if len(self.now) > MOST_ENTRIES:
            raise OSError("there are too many files")

    def note(self, path: str, folder: int, name: str, found: os.stat_result):
        touched = (found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        old = self.seen.get(path) if self.seen else None
        if old is not None and old[0] == touched:
            self.now[path] = old
        elif stat.S_ISREG(found.st_mode):
            self.now[path] = (touched, f"{found.st_mode:o} {digest(folder, name, found)}")
        elif stat.S_ISLNK(found.st_mode):
            self.now[path] = (touched, f"link {os.readlink(name, dir_fd=folder)}")
        else:
            self.now[path] = (touched, f"{found.st_mode:o}")

    def note_repository(self, folder: int, path: str, old: Any):
        """The state of a repository under its names; read anew only when one of its files was touched."""
        touched = sorted(touched_below(folder, ""))
        known = old.get(path)
        state = known[1] if known is not None and known[0] == touched else git_state(folder)
        self.repositories[path] = (touched, state)
        for name, value in state.items():
            self.now[f"{path}/{name}"] = (None, value)


def touched_below(folder: int, prefix: str):
    for entry in os.scandir(folder):
        if not prefix and entry.name in ("objects", "logs"):
            continue
        if entry.is_dir(follow_symlinks=False):
            below = os.open(entry.name, FOLDER, dir_fd=folder)
            try:
                yield from touched_below(below, f"{prefix}{entry.name}/")
            finally:
                os.close(below)
        else:
            found = entry.stat(follow_symlinks=False)
            yield (
                prefix + entry.name,
                found.st_ino,
                found.st_mode,
                found.st_size,
                found.st_mtime_ns,
                found.st_ctime_ns,
            )


def digest(folder: int, name: str, found: os.stat_result):
    if found.st_size > LARGEST_HASHED:
        return f"{found.st_size} {found.st_mtime_ns}"
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return "unread"
    made = hashlib.sha256()
    with open(fd, "rb", buffering=0) as file:
        while piece := file.read(CHUNK):
            made.update(piece)
    return made.hexdigest()


class Reads:
    """Files that were read, as the kernel tells it of each folder that is watched."""

    def __init__(self):
        self.fd = -1
        self.folders: dict[int, str] = {}  # watch -> path with a slash at its end
        try:
            import ctypes

            self.library = ctypes.CDLL(None, use_errno=True)
            self.fd = self.library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        except (ImportError, OSError, AttributeError):
            pass  # then nobody knows what was read

    def watch(self, folder: int, path: str):
        if self.fd < 0:
            return
        mask = IN_ACCESS | IN_CLOSE_NOWRITE | IN_ONLYDIR
        number = self.library.inotify_add_watch(self.fd, f"/proc/self/fd/{folder}".encode(), mask)
        if number < 0:
            os.close(self.fd)
            self.fd = -1
            return
        self.folders[number] = path

    def take(self):
        """The paths read since the last time, sorted; None where that is not known."""
        if self.fd < 0:
            return None
        found: set[str] = set()
        lost = False
        while select.select([self.fd], [], [], 0)[0]:
            data = os.read(self.fd, 1 << 16)
            at = 0
            while at < len(data):
                number, mask, _, size = EVENT.unpack_from(data, at)
                name = data[at + EVENT.size : at + EVENT.size + size].rstrip(b"\0").decode("utf-8", "backslashreplace")
                at += EVENT.size + size
                lost = lost or bool(mask & IN_Q_OVERFLOW)
                if mask & IN_IGNORED:
                    self.folders.pop(number, None)
                elif number in self.folders and len(found) < MOST_READ:
                    found.add((self.folders[number] + name).rstrip("/"))
        return None if lost else sorted(found)
