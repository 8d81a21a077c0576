"""Numbers events, keeps the most recent ones, and delivers them to subscribers without waiting for slow ones."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from stackbench.control.messages import AttemptText, CommandOutput, EventKind, Gauges, Missed

__all__ = ["EventStream", "Subscription"]

KEPT = 20_000
KEPT_PASSING = 2_000
PASSING_WAITING = 1_000
LASTING_WAITING = 200_000
BATCH = 256
PASSING = (AttemptText, CommandOutput, Gauges)
"""What a slow watcher may miss: each is worth little once the next has come."""


@dataclass(slots=True, eq=False)
class _Entry:
    """An event; its line is made once, however many watch."""

    seq: int
    at: float
    """Seconds since 1970."""
    run_id: str
    what: EventKind
    passing: bool
    line: bytes | None = None

    def encoded(self) -> bytes:
        if self.line is None:
            # the line of an `Event`, which would check and walk through what is known to be right: 3 us instead of 7
            second = int(self.at)
            ts = f"{_to_second(second)}.{int((self.at - second) * 1e6):06d}"
            what = self.what.__pydantic_serializer__.to_json(self.what).decode()
            run_id = _quoted(self.run_id)
            self.line = f'{{"kind":"event","seq":{self.seq},"ts":"{ts}","run_id":{run_id},"what":{what}}}\n'.encode()
        return self.line


@lru_cache(maxsize=4)
def _to_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).replace(tzinfo=None).isoformat()


@lru_cache(maxsize=16)
def _quoted(run_id: str) -> str:
    return json.dumps(run_id)


class EventStream:
    """All methods belong to the engine's event loop; `publish` never waits and never raises for a watcher's sake."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._seq = 0
        self._kept: deque[_Entry] = deque(maxlen=KEPT)
        self._kept_passing: deque[_Entry] = deque(maxlen=KEPT_PASSING)
        self._subscriptions: set[Subscription] = set()

    @property
    def next_seq(self) -> int:
        return self._seq + 1

    @property
    def watched(self) -> bool:
        """Whether there are subscribers: without any, pieces of text and gauges need not be made."""
        return bool(self._subscriptions)

    def publish(self, run_id: str, what: EventKind) -> None:
        """Numbers an event, keeps it and queues it for every subscription."""
        self._seq += 1
        entry = _Entry(self._seq, self._clock(), run_id, what, isinstance(what, PASSING))
        (self._kept_passing if entry.passing else self._kept).append(entry)
        for subscription in tuple(self._subscriptions):  # one that is let go leaves while it is offered this
            subscription.offer(entry)

    def subscribe(self, *, since: int | None = None, run_id: str | None = None, text: bool = True) -> Subscription:
        """Events from `since` on (unset: from now on), of one run or of all."""
        subscription = Subscription(self, run_id, text)
        if since is not None and since <= self._seq:
            held = list(self._since(since))
            missing = self._seq - max(since, 1) + 1 - len(held)
            if missing > 0:
                subscription.missed(missing)
            for entry in held:
                subscription.offer(entry, kept=True)
        self._subscriptions.add(subscription)
        return subscription

    def close(self) -> None:
        """Ends every subscription once it has been read to its end."""
        for subscription in list(self._subscriptions):
            subscription.end()

    def leave(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)

    def _since(self, since: int) -> Iterator[_Entry]:
        found = [entry for kept in (self._kept, self._kept_passing) for entry in kept if entry.seq >= since]
        yield from sorted(found, key=lambda entry: entry.seq)


class Subscription:
    """What one watcher has still to be sent: `take` until it gives None.

    A watcher with more than `PASSING_WAITING` events to read gets no more pieces of text and gauges until it has caught
    up, and is told how many it missed. Everything else waits for it; one that leaves `LASTING_WAITING` events unread is
    let go.
    """

    def __init__(self, stream: EventStream, run_id: str | None, text: bool) -> None:
        self._stream = stream
        self._run_id = run_id
        self._text = text
        self._waiting: deque[_Entry] = deque()
        self._missed = 0
        self._last = 0
        self._ended = False
        self._more = asyncio.Event()

    def offer(self, entry: _Entry, *, kept: bool = False) -> None:
        """Queues an event, if it is wanted and there is room."""
        if self._ended or (self._run_id is not None and entry.run_id not in ("", self._run_id)):
            return
        if entry.passing:
            if not self._text and isinstance(entry.what, AttemptText | CommandOutput):
                return
            if len(self._waiting) >= PASSING_WAITING and not kept:
                self.missed(1)
                return
        elif len(self._waiting) >= LASTING_WAITING:
            self.missed(len(self._waiting) + 1)
            self._waiting.clear()
            self.end()
            return
        self._waiting.append(entry)
        self._more.set()

    def missed(self, count: int) -> None:
        """Counts events that this watcher will not get."""
        self._missed += count
        self._more.set()

    async def take(self) -> bytes | None:
        """The next lines, at most `BATCH`; waits for one. None when there will be no more."""
        while not self._waiting and not self._missed:
            if self._ended:
                return None
            self._more.clear()
            await self._more.wait()
        lines: list[bytes] = []
        while self._waiting and len(lines) < BATCH:
            entry = self._waiting.popleft()
            self._last = entry.seq
            lines.append(entry.encoded())
        if self._missed:
            lines.append(Missed(count=self._missed, up_to=self._last).model_dump_json().encode() + b"\n")
            self._missed = 0
        return b"".join(lines)

    def end(self) -> None:
        """No more events; what waits is still given."""
        self._ended = True
        self._stream.leave(self)
        self._more.set()
