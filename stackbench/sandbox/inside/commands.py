"""Runs commands as the agent: output streams out, input streams in, signals, pseudo-terminals, time limits."""

from __future__ import annotations

import base64
import fcntl
import os
import resource
import select
import signal
import struct
import termios
import time

from . import users
from .cleaning import kill_group, signal_group, signal_process
from .frames import write_all
from .procfs import be_expendable, ending_of, parent_of, pids
from .signalling import kill_user, signal_user

TYPE_CHECKING = False  # to import typing would cost each container its memory
if TYPE_CHECKING:
    from typing import Any

    from .main import Loop

CHUNK = 1 << 16
LAST_PIECES = (
    32  # of output when a command has ended: more than a pipe holds, so that who still writes is not waited for
)
SCRIPT = "/dev/fd/4"
MOST_SCRIPT = 60000  # what a pipe takes without a reader
TERMINAL_PATIENCE_S = 0.2  # a process left behind may hold the terminal open
BASE_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": users.WORKSPACE,
    "LANG": "C.UTF-8",
    "USER": "agent",
    "LOGNAME": "agent",
    "SHELL": "/bin/sh",
    "TMPDIR": "/tmp",
    "PYTHONDONTWRITEBYTECODE": "1",
}


class Command:
    """One command that runs, or whose leftovers still write."""

    def __init__(self, number: int, pid: int, stdin: Any, deadline: float | None, allowed: int, user: int, alone: bool):
        self.id = number
        self.pid = pid
        self.user = user
        self.alone = alone
        self.stdin = stdin
        self.typed = bytearray()
        self.close_stdin = False
        self.outputs = {}  # descriptor -> name of the stream
        self.deadline = deadline
        self.bytes_left = allowed
        self.reason: str | None = None
        self.started = time.monotonic()
        self.over = False


class Commands:
    """All commands of this container; `loop` tells when something is to be read, written or killed."""

    def __init__(self, loop: Loop):
        self.loop = loop
        self.by_id = {}
        self.by_pid = {}
        self.frozen: set[int] = set()  # users whose processes the host has stopped

    # -- what the host asks

    def start(self, frame: dict[str, Any]):
        try:
            command = self.spawn(frame)
        except (OSError, ValueError) as error:
            self.loop.send(
                {
                    "op": "failed",
                    "id": frame["id"],
                    "errno": getattr(error, "errno", None),
                    "error": getattr(error, "strerror", None) or str(error),
                }
            )
            return
        self.by_id[command.id] = self.by_pid[command.pid] = command
        for fd in command.outputs:
            self.loop.watch(fd, lambda fd=fd: self.on_output(command, fd))
        self.loop.send({"op": "event", "id": command.id, "started": command.pid})

    def type(self, frame: dict[str, Any]):
        command = self.by_id.get(frame["target"])
        if command is None or command.stdin is None:
            return
        command.typed += base64.b64decode(frame.get("data", ""))
        command.close_stdin = command.close_stdin or frame.get("eof", False)
        self.write(command)

    def send_signal(self, frame: dict[str, Any]):
        command = self.by_id.get(frame["target"])
        if command is None or command.over:
            return
        target = os.killpg if frame.get("group", True) else os.kill
        try:
            target(command.pid, frame["signal"])
        except (ProcessLookupError, PermissionError, OSError):
            pass

    def cancel(self, number: int):
        command = self.by_id.get(number)
        if command is not None and not command.over:
            command.reason = command.reason or "cancelled"
            self.kill(command)

    # -- what the loop tells

    def time_to_next(self, now: float):
        times = [command.deadline for command in self.by_pid.values() if command.deadline is not None]
        return min(times) - now if times else None

    def check_deadlines(self, now: float):
        for command in list(self.by_pid.values()):
            if command.deadline is not None and now >= command.deadline:
                command.reason = command.reason or "timed out"
                self.kill(command)
                command.deadline = now + 1.0

    def kill(self, command: Command):
        """Kills a command with its group and with its descendants that have left the group; one that is alone in its
        container with all that its user runs.

        They are stopped before /proc is looked through: while a fork bomb has used up the container's memory, each
        page that the look needs is a wait for the kernel's out-of-memory killer, a second or more.
        """
        if command.alone:
            kill_user(command.user)
            return
        runs = command.user not in self.frozen
        signal_group(command.pid, signal.SIGSTOP)
        signal_user(command.user, signal.SIGSTOP)
        try:
            doomed = descendants_of(command.pid)
            kill_group(command.pid)
            for pid in doomed:
                signal_process(pid, signal.SIGKILL)
        finally:
            if runs:
                signal_user(command.user, signal.SIGCONT)

    def reaped(self, pid: int, status: int, usage: Any):
        """A child of ours has ended; True when it was a command."""
        command = self.by_pid.pop(pid, None)
        if command is None:
            return False
        command.over = True
        if command.alone:
            kill_user(command.user)
        answer = {
            "op": "done",
            "id": command.id,
            "status": command.reason or "ended",
            "wall_s": round(time.monotonic() - command.started, 6),
            "cpu_s": round(usage.ru_utime + usage.ru_stime, 6),
            "max_rss_kib": usage.ru_maxrss,
            **ending_of(status),
        }
        self.finish(command, answer, time.monotonic() + TERMINAL_PATIENCE_S)
        return True

    def finish(self, command: Command, answer: dict[str, Any], until: float):
        """Passes on what the command wrote last, then its answer. The kernel hands a terminal's last output over a
        little after the command has ended, so the end of it is waited for; of a pipe all is there."""
        for fd in list(command.outputs):
            for _ in range(LAST_PIECES):
                if not (command.outputs.get(fd) and self.on_output(command, fd)):
                    break
        if command.stdin in command.outputs and time.monotonic() < until:
            self.loop.later(0.002, lambda: self.finish(command, answer, until))
            return
        self.loop.send(answer)
        self.by_id.pop(command.id, None)
        self.close_input(command)

    # -- the work

    def spawn(self, frame: dict[str, Any]):
        # A script comes down a pipe: what it starts finds it in no list of processes.
        argv = frame.get("argv") or (["/bin/sh", SCRIPT] if "script" in frame else ["/bin/sh", "-c", frame["command"]])
        env = {**BASE_ENVIRONMENT, **frame.get("env", {})}
        cwd = frame.get("cwd") or users.WORKSPACE
        program = named_program(argv[0], frame["program"]) if frame.get("program") else argv[0]
        if any("\0" in text for text in [*argv, cwd, *env, *env.values()]):
            raise ValueError("a NUL byte in the command, its folder or its environment")
        terminal = frame.get("pty", False)
        user = users.BY_NAME[frame.get("user", "agent")]
        script = frame.get("script", "").encode("utf-8", "surrogateescape")
        if len(script) > MOST_SCRIPT:
            raise ValueError(f"a script of more than {MOST_SCRIPT} bytes")
        failed_read, failed_write = os.pipe()
        if terminal:
            ours, theirs = os.openpty()
            rows, columns = frame.get("size", (24, 80))
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            env.setdefault("TERM", "xterm")
            inside, outside = (theirs, theirs, theirs), (ours, {ours: "stdout"})
        else:
            stdin_read, stdin_write = os.pipe() if frame.get("stdin") else (os.open("/dev/null", os.O_RDONLY), None)
            out_read, out_write = os.pipe()
            err_read, err_write = (out_read, out_write) if frame.get("merge") else os.pipe()
            inside, outside = (stdin_read, out_write, err_write), (stdin_write, {out_read: "stdout"})
            outside[1].setdefault(err_read, "stderr")
        script_read = None
        if script:
            script_read = script_of(script)
        try:
            pid = os.fork()
        except OSError:  # no process can be had
            ends = (failed_read, failed_write, script_read, *inside, outside[0], *outside[1])
            for fd in {end for end in ends if end is not None}:
                os.close(fd)
            raise
        if pid == 0:
            exec_as_user(program, argv, env, cwd, inside, failed_write, script_read, terminal, user, frame)
        os.close(failed_write)
        for fd in {end for end in (*inside, script_read) if end is not None}:
            os.close(fd)
        problem = os.read(failed_read, 4)
        os.close(failed_read)
        stdin, outputs = outside
        if problem:
            os.waitpid(pid, 0)
            for fd in {fd for fd in (stdin, *outputs) if fd is not None}:
                os.close(fd)
            number = int.from_bytes(problem, "big")
            raise OSError(number, f"{argv[0] if os.path.isdir(cwd) else cwd}: {os.strerror(number)}")
        timeout = frame.get("timeout_s")
        deadline = None if timeout is None else time.monotonic() + timeout
        allowed = frame.get("output_bytes", 16 << 20)
        command = Command(frame["id"], pid, stdin, deadline, allowed, user, frame.get("alone", False))
        command.outputs = outputs
        for fd in {fd for fd in (stdin, *outputs) if fd is not None}:
            os.set_blocking(fd, False)
        return command

    def on_output(self, command: Command, fd: int):
        """Passes a piece of output on; False when there is none now or ever again."""
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return False
        except OSError:  # a pseudo-terminal whose other side has closed
            data = b""
        if not data or (command.over and command.bytes_left <= 0):
            stream = command.outputs.pop(fd, None)
            if stream is not None:
                self.loop.forget(fd)
                if fd == command.stdin:
                    command.stdin = None
                os.close(fd)
            return False
        kept = data[: command.bytes_left]
        command.bytes_left -= len(kept)
        if command.id in self.by_id and kept:
            text = base64.b64encode(kept).decode()
            self.loop.send({"op": "event", "id": command.id, "stream": command.outputs[fd], "data": text})
        if len(kept) < len(data) and not command.over:
            command.reason = command.reason or "output limit"
            self.kill(command)
        return True

    def write(self, command: Command):
        fd = command.stdin
        if fd is None:
            return
        try:
            while command.typed:
                del command.typed[: os.write(fd, command.typed[:CHUNK])]
        except BlockingIOError:
            self.watch_input(command)
            return
        except OSError:  # nobody reads any more
            command.typed.clear()
        if command.close_stdin:
            if fd in command.outputs:  # a terminal: the end of input is a character there
                command.close_stdin = False
                try:
                    os.write(fd, b"\x04")
                except OSError:
                    pass
            else:
                self.close_input(command)

    def watch_input(self, command: Command):
        if command.stdin not in command.outputs:
            if command.stdin not in self.loop.callbacks:
                self.loop.watch(command.stdin, lambda: self.on_writable(command), select.EPOLLOUT)
        else:
            self.loop.later(0.01, lambda: self.write(command))

    def on_writable(self, command: Command):
        self.loop.forget(command.stdin)
        self.write(command)

    def close_input(self, command: Command):
        fd = command.stdin
        if fd is not None and fd not in command.outputs:
            command.stdin = None
            if fd in self.loop.callbacks:
                self.loop.forget(fd)
            os.close(fd)


def named_program(name: str, program: str):
    """A path to a program under another name: the kernel takes a process's name from the path it was started by."""
    folder = f"{users.CHECKS}/{os.urandom(8).hex()}"
    os.mkdir(folder, 0o711)
    os.symlink(program, f"{folder}/{os.path.basename(name)}")
    return f"{folder}/{os.path.basename(name)}"


def exec_as_user(
    program: str,
    argv: list[str],
    env: dict[str, str],
    cwd: str,
    inside: tuple[int, int, int],
    failed_fd: int,
    script_fd: int | None,
    terminal: bool,
    user: int,
    frame: dict[str, Any],
):
    """Becomes the command; never returns."""
    try:
        os.setsid()
        if terminal:
            fcntl.ioctl(inside[0], termios.TIOCSCTTY, 0)
            os.fchown(inside[0], user, user)
        for number, fd in enumerate(inside):
            os.dup2(fd, number)
        moved = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (failed_fd, script_fd) if fd is not None]
        os.dup2(moved[0], 3, inheritable=False)
        if script_fd is not None:
            os.dup2(moved[1], 4)
            os.fchown(4, user, user)  # it is opened anew, by name
        os.closerange(4 if script_fd is None else 5, 4096)
        be_expendable(900 if user == users.AGENT else 500)  # where memory is short, a check outlives the agent's own
        for limit, name in (
            (resource.RLIMIT_AS, "memory_bytes"),
            (resource.RLIMIT_NPROC, "processes"),
            (resource.RLIMIT_NOFILE, "open_files"),
            (resource.RLIMIT_FSIZE, "file_bytes"),
        ):
            value = frame.get(name)
            if value is not None:
                resource.setrlimit(limit, (value, value))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGCHLD, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        users.become(user)
        os.umask(0o022)
        os.chdir(cwd)
        os.execvpe(program, argv, env)
    except BaseException as error:
        number = getattr(error, "errno", None) or 22
        os.write(3, number.to_bytes(4, "big"))
    finally:
        os._exit(127)


def script_of(text: bytes):
    """A descriptor to read a script from: a pipe, which keeps nothing that was read; where pipes are small, a file."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    try:
        done = os.write(write, text)
    except BlockingIOError:
        done = 0
    os.close(write)
    if done == len(text):
        return read
    os.close(read)
    fd = os.memfd_create("script")
    write_all(fd, text)
    return fd


def descendants_of(pid: int):
    parents = {one: parent_of(one) for one in pids()}
    found, more = set(), {pid}
    while more:
        found |= more
        more = {child for child, parent in parents.items() if parent in found} - found
    return found - {pid}
