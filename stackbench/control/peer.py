"""The process at the other end of the engine's socket: its user, and whether it was stopped (SIGSTOP)."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

__all__ = ["Peer", "is_stopped", "peer_of", "stopped_engine"]


class Peer(NamedTuple):
    """As the kernel names it (SO_PEERCRED, unix(7)); of a server, who called listen(2)."""

    pid: int
    uid: int


def peer_of(connection: socket.socket) -> Peer | None:
    """The process at the other end of a connected Unix socket; None where the kernel does not tell."""
    try:
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    except OSError:
        return None
    pid, uid, _ = struct.unpack("3i", credentials)
    return Peer(pid, uid)


def is_stopped(pid: int) -> bool:
    """Whether a process was stopped by a signal, so that it answers nothing until it is continued."""
    import psutil

    try:
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    except (psutil.Error, ValueError):
        return False


def stopped_engine(connection: socket.socket) -> str:
    """What to tell the user where the engine of this connection is stopped; empty where it is not."""
    peer = peer_of(connection)
    if peer is None or not is_stopped(peer.pid):
        return ""
    return (
        f"the engine (process {peer.pid}) is stopped (SIGSTOP); continue it with kill -CONT {peer.pid}. "
        '"stackbench ctl why" tells what it last did'
    )
