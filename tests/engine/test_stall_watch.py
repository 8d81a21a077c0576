from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

from stackbench.engine.stall_watch import BEAT_EVERY_S, STALLED_S, StallWatch


class Observer:
    """What a watch said and recorded, under a clock that the test turns."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lines: list[str] = []
        self.stalls: list[tuple[float, Sequence[str]]] = []
        self.heard = threading.Event()
        self.watch = StallWatch(self.say, lambda seconds, stack: self.stalls.append((seconds, stack)), lambda: self.now)

    def say(self, line: str) -> None:
        self.lines.append(line)
        self.heard.set()


async def test_a_loop_that_stands_still_is_told_while_it_does_with_its_place() -> None:
    observer = Observer()
    observer.watch.start()
    observer.now += BEAT_EVERY_S + STALLED_S

    def block_the_loop() -> None:
        assert observer.heard.wait(30)

    block_the_loop()
    observer.now += 10
    observer.watch.beat()
    observer.watch.close()
    (said, after) = observer.lines
    assert said.startswith("the program has stood still for 2 s, in ")
    assert after == "the program goes on after 12 s"
    ((seconds, stack),) = observer.stalls
    assert seconds == 12
    assert any("block_the_loop" in frame for frame in stack)


async def test_a_stall_that_no_thread_saw_is_told_by_the_loop() -> None:
    observer = Observer()
    observer.now += BEAT_EVERY_S + 30
    observer.watch.beat(again=False)
    assert observer.lines == ["the program stood still for 30 s"]
    assert observer.stalls == [(30, ())]


async def test_a_loop_that_beats_is_not_told_of() -> None:
    observer = Observer()
    for _ in range(100):
        observer.now += BEAT_EVERY_S + STALLED_S - 0.01
        observer.watch.look()
        observer.watch.beat(again=False)
    assert (observer.lines, observer.stalls) == ([], [])


async def test_the_heart_beats_on_the_loop() -> None:
    observer = Observer()
    observer.watch.start()
    observer.now = BEAT_EVERY_S
    while observer.watch._beat != observer.now:
        await asyncio.sleep(0.01)
    observer.watch.close()
    assert observer.lines == []
