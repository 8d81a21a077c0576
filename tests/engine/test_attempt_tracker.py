"""What watchers are told of an attempt's waits: those that last, once each."""

from __future__ import annotations

import asyncio

from stackbench.control.messages import AttemptFinished, AttemptStarted, AttemptWaiting, EventKind
from stackbench.engine.attempt_tracker import AttemptTracker, attempt_ref
from stackbench.types import AttemptKey
from tests.waiting import until

KEY = AttemptKey("humaneval", "HumanEval/1", 0, 0)
OTHER = AttemptKey("humaneval", "HumanEval/2", 0, 0)


def waits(events: list[EventKind]) -> list[tuple[str, str, str]]:
    return [(e.attempt.task_id, e.reason, e.detail) for e in events if isinstance(e, AttemptWaiting)]


async def test_waits_that_last_are_told_once_and_short_ones_not_at_all() -> None:
    events: list[EventKind] = []
    tracker = AttemptTracker(events.append)
    tracker.start(KEY)
    tracker.start(OTHER)
    for _ in range(1000):
        with tracker.waiting(OTHER, "slot"):
            pass
    with tracker.waiting(KEY, "model"):
        await until(lambda: waits(events))
        tracker.note(KEY, "retry", "try 2 in 1.0 s")
        await until(lambda: len(waits(events)) == 2)
        with tracker.waiting(KEY, "tests"):
            assert tracker.describe()[0]["waits_for"] in ("tests", None)
        await asyncio.sleep(0.15)
    assert waits(events) == [(KEY.task_id, "model", ""), (KEY.task_id, "retry", "try 2 in 1.0 s")]
    with tracker.waiting(OTHER, "container", "its image"):
        await until(lambda: len(waits(events)) == 3)
    assert waits(events)[2] == (OTHER.task_id, "container", "its image")
    tracker.finish(KEY, AttemptFinished(attempt=attempt_ref(KEY), passed=True, reason=""))
    assert [type(event) for event in (events[0], events[1], events[-1])] == [
        AttemptStarted, AttemptStarted, AttemptFinished,
    ]  # fmt: skip


async def test_nobody_is_told_of_a_wait_of_an_attempt_that_ended() -> None:
    events: list[EventKind] = []
    tracker = AttemptTracker(events.append)
    tracker.start(KEY)
    with tracker.waiting(KEY, "model"):
        tracker.finish(KEY, None)
        await asyncio.sleep(0.15)
    unwatched = AttemptTracker(events.append, lambda: False)
    unwatched.start(OTHER)
    with unwatched.waiting(OTHER, "model"):
        await asyncio.sleep(0.15)
    assert waits(events) == []
