from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

from stackbench.engine.stall_watch import BEAT_EVERY_S, STALLED_S, StallWatch


class Told:
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
    told = Told()
    told.watch.start()
    told.now += BEAT_EVERY_S + STALLED_S

    def block_the_loop() -> None:
        assert told.heard.wait(30)

    block_the_loop()
    told.now += 10
    told.watch.beat()
    told.watch.close()
    (said, after) = told.lines
    assert said.startswith("the program has stood still for 2 s, in ")
    assert after == "the program goes on after 12 s"
    ((seconds, stack),) = told.stalls
    assert seconds == 12
    assert any("block_the_loop" in frame for frame in stack)


async def test_a_stall_that_no_thread_saw_is_told_by_the_loop() -> None:
    told = Told()
    told.now += BEAT_EVERY_S + 30
    told.watch.beat(again=False)
    assert told.lines == ["the program stood still for 30 s"]
    assert told.stalls == [(30, ())]


async def test_a_loop_that_beats_is_not_told_of() -> None:
    told = Told()
    for _ in range(100):
        told.now += BEAT_EVERY_S + STALLED_S - 0.01
        told.watch.look()
        told.watch.beat(again=False)
    assert (told.lines, told.stalls) == ([], [])


async def test_the_heart_beats_on_the_loop() -> None:
    told = Told()
    told.watch.start()
    told.now = BEAT_EVERY_S
    while told.watch._beat != told.now:
        await asyncio.sleep(0.01)
    told.watch.close()
    assert told.lines == []
