"""What tools in a sandbox are told: directory entries, output, how a command ended, what changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = [
    "Changes",
    "Completed",
    "Entry",
    "FileChanges",
    "FileContent",
    "HttpAnswer",
    "HttpLog",
    "HttpPages",
    "HttpRate",
    "HttpRequest",
    "HttpRoute",
    "HttpStore",
    "Match",
    "Observed",
    "Output",
    "ProcessInfo",
    "Snapshot",
    "compare",
    "compare_state",
]

Kind = Literal["file", "directory", "link", "fifo", "socket", "device", "other"]


@dataclass(frozen=True, slots=True)
class Output:
    """A piece of what a command wrote."""

    stream: Literal["stdout", "stderr"]
    data: bytes


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command ended. `reason` is `ended`, `timed out`, `output limit` or `cancelled`."""

    exit_code: int | None
    signal: int | None
    reason: str
    wall_s: float
    cpu_s: float
    max_rss_mib: float
    stdout: bytes = b""
    stderr: bytes = b""


@dataclass(frozen=True, slots=True)
class Entry:
    """A directory entry. Times are in nanoseconds since the epoch, sizes in bytes."""

    path: str
    kind: Kind
    size: int
    mode: int
    mtime_ns: int
    links: int
    target: str = ""
    """Where a symbolic link points."""
    sha256: str | None = None
    """Of a regular file in a snapshot, unless it is larger than 256 MiB."""


@dataclass(frozen=True, slots=True)
class FileContent:
    """A piece of a file, and the size of the whole."""

    data: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Match:
    """A line that a search found; `line` counts from 1."""

    path: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """A process in the container. `user` is agent, service, sample or root."""

    pid: int
    parent: int
    state: str
    user: str
    command: tuple[str, ...]
    cpu_s: float
    memory_bytes: int
    started: int = 0
    """When, in the kernel's ticks: with the pid it tells one process from a later one of the same pid."""

    @property
    def identity(self) -> tuple[int, int]:
        """What no other process of the container has."""
        return self.pid, self.started


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every entry below a folder at one time, by path."""

    entries: Mapping[str, Entry]
    repositories: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    """By the path of a `.git`: references, index, settings and operations under way, by their names there."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Paths that differ between two snapshots, sorted."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    """Other content, kind, mode or link target; a new time alone is no change."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What the HTTP service says."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    delay_s: float = 0.0
    keep: int | None = None
    """Only so many bytes of the body are sent, under the whole length; then the connection ends."""
    times: int = 1
    """Of a fault: how often it is given."""


@dataclass(frozen=True, slots=True)
class HttpRate:
    """So many requests in so many seconds; more get 429 with Retry-After."""

    requests: int
    per_s: float


@dataclass(frozen=True, slots=True)
class HttpPages:
    """A list given in pages of `size`: by number (?page=2&per_page=20, a Link header) or by cursor (?cursor=...)."""

    items: Sequence[Any]
    size: int
    style: Literal["number", "cursor"] = "number"


@dataclass(frozen=True, slots=True)
class HttpStore:
    """What a route keeps and changes: items of a collection, by their member `key`, or one document.

    Changes with a body that does not fit `schema` (JSON Schema: type, properties, required, additionalProperties, enum,
    pattern, minimum) are refused with 422; with `etag` those without If-Match with 428, with another tag with 412.
    """

    items: Sequence[Mapping[str, Any]] = ()
    document: Mapping[str, Any] | None = None
    key: str = "id"
    methods: Sequence[str] = ("GET", "POST", "PUT", "PATCH", "DELETE")
    schema: Mapping[str, Any] | None = None
    etag: bool = False
    ids: Sequence[Any] = ()
    """Of the items that are added, in this order; then numbers."""
    adds: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Members that every added item gets."""


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """What the HTTP service answers at a method and path; `{name}` in the path stands for one segment.

    In this order: too many requests (429), no authorisation (401), faults, entity tags, pages, the usual answer.
    """

    path: str
    method: str = "GET"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    delay_s: float = 0.0
    faults: Sequence[HttpAnswer] = ()
    """The first answers, in this order."""
    auth: str = ""
    """`Bearer TOKEN` or `Basic USER:PASSWORD`; empty: none is needed."""
    rate: HttpRate | None = None
    pages: HttpPages | None = None
    etag: bool = False
    """Entity tags: 304 for If-None-Match, 412 for an If-Match that does not fit."""
    store: HttpStore | None = None
    """Then the path and those of its items answer all methods; faults and rate are of those that change something."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request that the HTTP service received, and the status it answered with."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    status: int


@dataclass(frozen=True, slots=True)
class HttpLog:
    """What the HTTP service was asked, in order."""

    requests: tuple[HttpRequest, ...]
    total: int
    """Requests that came; more than are kept where `complete` is False."""
    complete: bool


@dataclass(frozen=True, slots=True)
class FileChanges:
    """What became of the workspace since it was last looked at. Paths in a `.git` are names of its state: a
    reference, the index, the settings."""

    added: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()
    read: frozenset[str] | None = frozenset()
    """Files that were read, and folders that were listed; None where the kernel does not tell."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What is new in a container since it was last looked at."""

    files: FileChanges | None
    """None where that cannot be told: the workspace cannot be looked through, or this is the first look."""
    requests: tuple[HttpRequest, ...]
    processes: tuple[ProcessInfo, ...]
    """All that run now."""


def compare(before: Snapshot, after: Snapshot) -> Changes:
    """What changed from one snapshot to the other."""
    old, new = before.entries, after.entries
    return Changes(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        changed=tuple(sorted(path for path in old.keys() & new.keys() if _differs(old[path], new[path]))),
    )


def _differs(a: Entry, b: Entry) -> bool:
    if (a.kind, a.mode, a.target) != (b.kind, b.mode, b.target):
        return True
    if a.kind != "file":
        return False
    if a.sha256 is None or b.sha256 is None:
        return (a.size, a.mtime_ns) != (b.size, b.mtime_ns)
    return a.sha256 != b.sha256


def compare_state(before: Snapshot, after: Snapshot) -> Changes:
    """What changed, git repositories taken by their state: `repository/.git/refs/heads/main` is a path in it, and how
    git keeps its objects is no change."""
    kept = [
        _without_repositories(one, before.repositories.keys() | after.repositories.keys()) for one in (before, after)
    ]
    files = compare(*kept)
    old, new = _states(before), _states(after)
    return Changes(
        added=tuple(sorted({*files.added, *(new.keys() - old.keys())})),
        removed=tuple(sorted({*files.removed, *(old.keys() - new.keys())})),
        changed=tuple(sorted({*files.changed, *(name for name in old.keys() & new.keys() if old[name] != new[name])})),
    )


def _without_repositories(snapshot: Snapshot, repositories: Iterable[str]) -> Snapshot:
    below = tuple(f"{path}/" for path in repositories)
    return Snapshot({path: entry for path, entry in snapshot.entries.items() if not path.startswith(below)})


def _states(snapshot: Snapshot) -> dict[str, str]:
    return {f"{path}/{name}": value for path, state in snapshot.repositories.items() for name, value in state.items()}
