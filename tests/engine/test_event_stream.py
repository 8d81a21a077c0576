"""What watchers get of the engine's events, quick ones and slow ones."""

from __future__ import annotations

import json

import pytest
from pydantic import computed_field

from stackbench.control.messages import (
    AttemptFinished,
    AttemptRef,
    AttemptStarted,
    AttemptText,
    Event,
    Gauges,
    Missed,
    Notice,
    reply_adapter,
)
from stackbench.engine import event_stream
from stackbench.engine.event_stream import EventStream, Subscription

REF = AttemptRef(benchmark="b", task_id="t", attempt=0, seed=0)


@pytest.fixture
def stream() -> EventStream:
    return EventStream()


async def read(subscription: Subscription) -> list[Event | Missed]:
    """Everything up to the end of the stream."""
    found: list[Event | Missed] = []
    while (lines := await subscription.take()) is not None:
        for line in lines.splitlines():
            reply = reply_adapter.validate_json(line)
            assert isinstance(reply, Event | Missed)
            found.append(reply)
    return found


def kinds(found: list[Event | Missed]) -> list[str]:
    return [one.what.kind if isinstance(one, Event) else "missed" for one in found]


async def test_events_are_numbered_and_come_in_order(stream: EventStream) -> None:
    subscription = stream.subscribe()
    for number in range(5):
        stream.publish("r", Notice(text=str(number)))
    stream.close()
    found = await read(subscription)
    assert [event.seq for event in found if isinstance(event, Event)] == [1, 2, 3, 4, 5]


async def test_the_line_of_an_event_is_what_its_model_writes(stream: EventStream) -> None:
    subscription = stream.subscribe()
    stream.publish('r"\\\u2028', AttemptText(attempt=REF, step=1, text='"\n\u00e9'))
    (line,) = (await subscription.take() or b"").splitlines(keepends=True)
    event = reply_adapter.validate_json(line)
    assert isinstance(event, Event) and event.run_id == 'r"\\\u2028'
    assert json.loads(line) == json.loads(event.model_dump_json())


async def test_a_watcher_begins_where_it_asks_to(stream: EventStream) -> None:
    for number in range(5):
        stream.publish("r", Notice(text=str(number)))
    later = stream.subscribe(since=4)
    news = stream.subscribe()
    stream.close()
    assert [event.seq for event in await read(later) if isinstance(event, Event)] == [4, 5]
    assert await read(news) == []


async def test_only_the_run_asked_for_and_text_where_it_is_wanted(stream: EventStream) -> None:
    subscription = stream.subscribe(run_id="a", text=False)
    stream.publish("a", Notice(text="1"))
    stream.publish("b", Notice(text="2"))
    stream.publish("", Notice(text="of the engine"))
    stream.publish("a", AttemptText(attempt=REF, step=1, text="x"))
    stream.close()
    assert [event.seq for event in await read(subscription) if isinstance(event, Event)] == [1, 3]


async def test_a_slow_watcher_misses_text_and_gauges_but_no_start_and_no_end(
    stream: EventStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "PASSING_WAITING", 10)
    subscription = stream.subscribe()
    for _ in range(50):
        stream.publish("r", AttemptStarted(attempt=REF))
        stream.publish("r", AttemptText(attempt=REF, step=1, text="x"))
        stream.publish("r", Gauges(values={"cpu": 0.5}))
        stream.publish("r", AttemptFinished(attempt=REF, passed=True))
    stream.close()
    found = await read(subscription)
    received = kinds(found)
    assert received.count("attempt_started") == received.count("attempt_finished") == 50
    missed = sum(one.count for one in found if isinstance(one, Missed))
    assert missed == 100 - received.count("attempt_text") - received.count("gauges")
    assert missed > 80


async def test_a_watcher_that_never_reads_is_let_go(stream: EventStream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "LASTING_WAITING", 20)
    subscription = stream.subscribe()
    for _ in range(30):
        stream.publish("r", AttemptStarted(attempt=REF))
    assert not stream.watched
    (missed,) = await read(subscription)
    assert isinstance(missed, Missed) and missed.count == 21


async def test_what_is_no_longer_held_is_told_as_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "KEPT", 3)
    stream = EventStream()
    for number in range(10):
        stream.publish("r", Notice(text=str(number)))
    subscription = stream.subscribe(since=1)
    stream.close()
    found = await read(subscription)
    assert [event.seq for event in found if isinstance(event, Event)] == [8, 9, 10]
    assert [one.count for one in found if isinstance(one, Missed)] == [7]


async def test_an_event_is_written_once_for_all_watchers(stream: EventStream) -> None:
    written = 0

    class Counted(Notice):
        @computed_field
        def extra(self) -> int:
            nonlocal written
            written += 1
            return written

    watchers = [stream.subscribe() for _ in range(5)]
    stream.publish("r", Counted(text="x"))
    stream.close()
    for watcher in watchers:
        assert len(await read(watcher)) == 1
    assert written == 1
