"""What an agent changed in a container since a moment, taken from one container and put into another of its image."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stackbench.errors import ToolError

if TYPE_CHECKING:
    from stackbench.sandbox.session import Session

__all__ = ["ChangeTracker", "ContainerChanges"]

LARGEST_MIB = 64
"""Of an archive, compressed."""
LISTING_MIB = 64
STEP_TIMEOUT_S = 120.0
MARGIN_S = 0.05
"""The kernel's time stamps of files lag behind its clock by a tick (4 to 10 ms)."""
# Kind, owner, time of the last change of any sort (which no program can set) and path of everything that an agent can
# have changed; the file systems of the kernel and of the sandbox itself are none of it.
LIST = """cd / && find . ./tmp ./var/tmp -xdev \\( -path ./proc -o -path ./sys -o -path ./dev -o -path ./work -o \
-path ./check \\) -prune -o -printf '%y %U %C@ %p\\0' 2> /dev/null; true"""
TAKE = "set -o pipefail; tar -C / --create --no-recursion --null --files-from - --file - | gzip -1"
PUT = "set -o pipefail; gzip -d | tar -C / --extract --preserve-permissions --no-overwrite-dir --file -"
REMOVE = "cd / && xargs -0 -r rm -rf --"
SOCKET, FOLDER = "s", "d"


@dataclass(frozen=True, slots=True)
class ContainerChanges:
    """Files, folders and links that are other than they were, and what is gone."""

    archive: bytes
    """A tar archive, compressed by gzip, with paths from the root."""
    removed: bytes
    """Paths from the root, each with a zero byte behind it."""


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: str
    owner: str
    changed_s: float


class ChangeTracker:
    """Tells the changes of one container since `begin`."""

    def __init__(self, session: Session, since_s: float, before: Mapping[bytes, str], user: str) -> None:
        self._session = session
        self._since_s = since_s
        self._before = before
        self._user = user

    @classmethod
    async def begin(cls, session: Session) -> ChangeTracker:
        """Notes what there is. What was done before this moment is no change.

        Raises:
            ToolError: the image has no GNU find, or too many files to list.
            SandboxError: the container died.
        """
        user = (await session.run(["id", "-u"])).stdout.decode().strip()
        now = (await session.run(["date", "+%s.%N"])).stdout.decode().strip()
        before = await _list(session)
        return cls(session, float(now) - MARGIN_S, {path: entry.kind for path, entry in before.items()}, user)

    async def take(self) -> ContainerChanges:
        """The changes so far. No process of the agent's may run meanwhile.

        Raises:
            ToolError: they are larger than 64 MiB, or there is a file that its own owner may not read.
            SandboxError: the container died.
        """
        changed, removed = await asyncio.to_thread(self._compare, await _list(self._session))
        done = await self._session.run(
            ["bash", "-c", TAKE], stdin=changed, timeout_s=STEP_TIMEOUT_S, output_mib=LARGEST_MIB
        )
        if done.reason == "output limit":
            raise ToolError(f"the changes are larger than {LARGEST_MIB} MiB")
        if done.exit_code:
            raise ToolError(f"the changes cannot be read: {_first_line(done.stderr)}")
        return ContainerChanges(done.stdout, removed)

    async def put(self, changes: ContainerChanges) -> None:
        """Makes the changes that were taken from another container of the same image.

        Raises:
            ToolError: they cannot all be made.
            SandboxError: the container died.
        """
        for program, data in ((REMOVE, changes.removed), (PUT, changes.archive)):
            done = await self._session.run(["bash", "-c", program], stdin=data, timeout_s=STEP_TIMEOUT_S)
            if done.exit_code:
                raise ToolError(f"the changes cannot be made: {_first_line(done.stderr)}")

    def _compare(self, now: Mapping[bytes, _Entry]) -> tuple[bytes, bytes]:
        """The paths that changed, and those that are gone (of a folder that is gone, itself alone)."""
        changed = [path for path, entry in now.items() if self._is_changed(path, entry)]
        gone = {path for path, kind in self._before.items() if path not in now or now[path].kind != kind}
        removed = [path for path in gone if not any(path[:at] in gone for at in _folders(path))]
        return _listed(changed), _listed(removed)

    def _is_changed(self, path: bytes, entry: _Entry) -> bool:
        if entry.kind == SOCKET:
            return False
        if self._before.get(path) != entry.kind:
            return True  # new, or a folder that was moved: what is in it is not changed itself
        return entry.changed_s >= self._since_s and (entry.kind != FOLDER or entry.owner == self._user)


async def _list(session: Session) -> dict[bytes, _Entry]:
    done = await session.run(["bash", "-c", LIST], timeout_s=STEP_TIMEOUT_S, output_mib=LISTING_MIB)
    if done.reason != "ended" or not done.stdout:
        raise ToolError("the container's files cannot be listed")
    return await asyncio.to_thread(_entries, done.stdout)


def _entries(listing: bytes) -> dict[bytes, _Entry]:
    found: dict[bytes, _Entry] = {}
    for line in listing.split(b"\0")[:-1]:
        kind, owner, changed, path = line.split(b" ", 3)
        found[path] = _Entry(kind.decode(), owner.decode(), float(changed))
    return found


def _listed(paths: Iterable[bytes]) -> bytes:
    return b"".join(path + b"\0" for path in sorted(paths))


def _folders(path: bytes) -> list[int]:
    """Where the names of the folders above a path end."""
    return [at for at, letter in enumerate(path) if letter == ord("/")]


def _first_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines() or ["no output"]
    return lines[0][:200]
