"""What is known of a run: adopted when the screen attaches, kept up with its events, painted a few times a second."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from stackbench.control.answers import RunningAttempt, RunNow
from stackbench.control.messages import (
    AttemptFinished,
    AttemptQueued,
    AttemptRef,
    AttemptStarted,
    AttemptText,
    AttemptWaiting,
    BenchmarkFinished,
    BenchmarkSkipped,
    BenchmarkStarted,
    Event,
    EventKind,
    Gauges,
    Missed,
    Notice,
    OperatorAction,
    RunFinished,
    RunQueued,
    RunStarted,
    ToolCallEnded,
    ToolCallStarted,
)
from stackbench.control.verbs import change_line
from stackbench.report.tally import BenchmarkTally

__all__ = ["IDLE_AFTER_S", "LiveRun", "LogLine", "UnderWay"]

READINGS_KEPT = 120
LINES_KEPT = 2000
IDLE_AFTER_S = 600.0
"""An attempt that waits for the same thing so long is marked."""

Key = tuple[str, str, int, int]


@dataclass(slots=True)
class UnderWay:
    """An attempt under way; times in seconds since 1970."""

    key: Key
    started: float
    waits_for: str = ""
    detail: str = ""
    since: float = 0.0
    last: str = ""
    """What its agent did last."""

    def idle_s(self, now: float) -> float:
        return now - (self.since or self.started)


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the log."""

    at: str
    """Hours, minutes and seconds, UTC."""
    text: str
    important: bool = False


@dataclass(slots=True)
class LiveRun:
    """One run. `version` grows with every change that is worth painting."""

    run_id: str
    clock: Callable[[], float]
    suite: str = ""
    model: str = ""
    phase: str = ""
    """As the engine tells it; `queued`, or the recorded status of a run that has ended."""
    position: int | None = None
    slots_taken: int = 0
    slots: int = 0
    settings: Mapping[str, object] = field(default_factory=dict[str, object])
    last_error: str = ""
    calls_waiting: int = 0
    benchmarks: dict[str, BenchmarkTally] = field(default_factory=dict[str, BenchmarkTally])
    skipped: dict[str, str] = field(default_factory=dict[str, str])
    under_way: dict[Key, UnderWay] = field(default_factory=dict[Key, UnderWay])
    load: dict[str, deque[float | None]] = field(default_factory=dict[str, "deque[float | None]"])
    log: deque[LogLine] = field(default_factory=lambda: deque[LogLine](maxlen=LINES_KEPT))
    said: int = 0
    """Lines of the log so far, those that are no longer held included."""
    finished: int = 0
    """Attempts that ended since the screen attached."""
    requeued: int = 0
    """Times that recorded attempts were taken back."""
    missed: int = 0
    ended: bool = False
    error: str = ""
    version: int = 0

    # -- attaching

    def adopt(self, now: RunNow) -> None:
        """The state that events are counted from."""
        self.suite, self.model = now.suite, now.model
        self.benchmarks = {
            one.benchmark: BenchmarkTally(
                one.benchmark, one.total, one.before + one.done, one.passed, self.clock, errors=one.errors
            )
            for one in now.benchmarks
        }
        self.ended = False
        self.error = ""
        self.refresh(now)
        self.version += 1

    def refresh(self, now: RunNow) -> None:
        """What no event tells: the phase, the places at the model, the settings."""
        self.phase = now.phase
        self.slots, self.slots_taken = now.slots.size, now.slots.taken
        self.settings = now.settings
        self.last_error = now.last_error
        self.calls_waiting = len(now.calls_to_approve)

    def adopt_attempts(self, attempts: Sequence[RunningAttempt]) -> None:
        """What was under way when the screen attached."""
        now = self.clock()
        self.under_way = {
            (one.benchmark, one.task_id, one.attempt, one.seed): UnderWay(
                (one.benchmark, one.task_id, one.attempt, one.seed),
                now - one.running_s,
                one.waits_for or "",
                one.detail,
                now - one.for_s,
            )
            for one in attempts
        }
        self.version += 1

    def adopt_load(self, readings: Sequence[Mapping[str, float | None]]) -> None:
        """The readings of the time before the screen attached, the oldest first."""
        self.load.clear()
        for reading in readings:
            self._take_load(reading)

    # -- events

    def take(self, event: Event | Missed) -> None:
        """Takes an event in."""
        self.version += 1
        if isinstance(event, Missed):
            self.missed += event.count
            return
        what = event.what
        at = _seconds(event.ts)
        if isinstance(what, AttemptStarted):
            self.under_way[_key(what.attempt)] = UnderWay(_key(what.attempt), at)
            if (tally := self.benchmarks.get(what.attempt.benchmark)) is not None:
                tally.begin(what.attempt)
        elif isinstance(what, AttemptWaiting):
            self._take_wait(what, at)
        elif isinstance(what, AttemptFinished):
            self._take_finished(what)
        elif isinstance(what, AttemptQueued):
            self.under_way.pop(_key(what.attempt), None)
        elif isinstance(what, Gauges):
            self._take_load(what.values)
        elif isinstance(what, ToolCallStarted | ToolCallEnded):
            self._take_call(what, at)
        elif not isinstance(what, AttemptText):
            self._take_rare(what, event.ts)

    def _take_wait(self, what: AttemptWaiting, at: float) -> None:
        under_way = self.under_way.get(_key(what.attempt))
        if under_way is None:
            under_way = self.under_way[_key(what.attempt)] = UnderWay(_key(what.attempt), at)
        under_way.waits_for, under_way.detail, under_way.since = what.reason, what.detail, at

    def _take_finished(self, what: AttemptFinished) -> None:
        self.under_way.pop(_key(what.attempt), None)
        self.finished += 1
        progress = self.benchmarks.get(what.attempt.benchmark)
        if progress is not None:
            progress.take(what)

    def _take_call(self, what: ToolCallStarted | ToolCallEnded, at: float) -> None:
        under_way = self.under_way.get(_key(what.attempt))
        if under_way is not None:
            under_way.since = at
            under_way.last = what.tool if isinstance(what, ToolCallStarted) else f"{what.tool} done"

    def _take_load(self, values: Mapping[str, float | None]) -> None:
        for name, value in values.items():
            self.load.setdefault(name, deque(maxlen=READINGS_KEPT)).append(value)

    def _take_rare(self, what: EventKind, ts: str) -> None:
        """The run's own life, and lines for the operator."""
        if isinstance(what, BenchmarkStarted):
            self.benchmarks[what.benchmark] = BenchmarkTally(
                what.benchmark, what.total, what.done, what.passed, self.clock
            )
            self._say(ts, f"{what.benchmark}: {what.total} attempts, {what.done} made before")
        elif isinstance(what, BenchmarkFinished):
            progress = self.benchmarks.get(what.benchmark)
            if progress is not None:
                progress.ended = self.clock()
            self._say(ts, f"{what.benchmark}: {what.attempts} attempts made, {what.errors} errors")
        elif isinstance(what, BenchmarkSkipped):
            self.skipped[what.benchmark] = what.reason
            self._say(ts, f"{what.benchmark}: skipped: {what.reason}", important=True)
        elif isinstance(what, RunStarted):
            self.suite, self.model, self.phase, self.position = what.suite, what.model, "running", None
            self._say(ts, f"run of {what.model} begins")
        elif isinstance(what, RunQueued):
            self.suite, self.model, self.phase, self.position = what.suite, what.model, "queued", what.position
        elif isinstance(what, RunFinished):
            self.phase, self.ended, self.error, self.position = what.status, True, what.error, None
            self.under_way.clear()
            self._say(ts, f"run {what.status}{f': {what.error}' if what.error else ''}", important=bool(what.error))
        elif isinstance(what, Notice):
            self._say(ts, what.text)
        elif isinstance(what, OperatorAction):
            self._take_action(what, ts)

    def _take_action(self, what: OperatorAction, ts: str) -> None:
        changed = change_line(what.verb, what.arguments, what.old, what.new)
        self._say(ts, f"operator ({what.who or 'unnamed'}): {changed}", important=True)
        if what.verb == "requeue":
            self.requeued += 1
        elif what.verb == "cancel":  # attempts that are given up end without an event of their own
            target = str(what.arguments.get("target", ""))
            for key in list(self.under_way):
                if target in (key[0], key[1], f"{key[0]}/{key[1]}"):
                    del self.under_way[key]
        elif what.verb in ("pause", "resume", "drain", "stop"):
            self.phase = str(what.new)

    def _say(self, ts: str, text: str, *, important: bool = False) -> None:
        self.said += 1
        self.log.append(LogLine(ts[11:19], text, important))


def _key(ref: AttemptRef) -> Key:
    return (ref.benchmark, ref.task_id, ref.attempt, ref.seed)


def _seconds(ts: str) -> float:
    """An event's time in seconds since 1970."""
    try:
        return (datetime.fromisoformat(ts) - EPOCH).total_seconds()
    except ValueError:
        return 0.0


EPOCH = datetime(1970, 1, 1)
