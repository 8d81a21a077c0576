"""Reports when the event loop is blocked: no request, score, timeout or answer is then handled."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence

__all__ = ["StallWatch"]

BEAT_EVERY_S = 0.5
STALLED_S = 2.0
FRAMES = 12


class StallWatch:
    """A heartbeat on the running loop, and a thread that listens to it; both sleep nearly always.

    After two seconds without a beat the thread takes the stack of the loop's thread and says so; when the loop goes on,
    what it cost is recorded. What holds the interpreter's lock all the while stops the thread too: then the loop itself
    tells afterwards, without a stack.

    Args:
        say: takes a line for the operator; called from the thread and from the loop.
        record: takes seconds and stack ("file:line function", innermost last); called from the loop.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        record: Callable[[float, Sequence[str]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say = say
        self._record = record
        self._clock = clock
        self._beat = clock()
        self._stack: tuple[str, ...] | None = None
        """Of the stall that is going on; None while there is none, or none that was seen."""
        self._over = threading.Event()
        self._handle: asyncio.TimerHandle | None = None
        self._loop_thread = threading.get_ident()
        self._thread = threading.Thread(target=self._listen, name="stall-watch", daemon=True)

    def start(self) -> None:
        """Begins on the running loop, which is the calling thread's."""
        self._loop_thread = threading.get_ident()
        self._beat = self._clock()
        self._handle = asyncio.get_running_loop().call_later(BEAT_EVERY_S, self.beat)
        self._thread.start()

    def close(self) -> None:
        """Tells of a stall up to now, and ends."""
        self._over.set()
        if self._handle is not None:
            self._handle.cancel()
            self.beat(again=False)

    def beat(self, *, again: bool = True) -> None:
        """The loop lives. Tells of the stall that has just ended, if there was one."""
        now = self._clock()
        stood, self._beat = now - self._beat, now
        stack, self._stack = self._stack, None
        if again:
            self._handle = asyncio.get_running_loop().call_later(BEAT_EVERY_S, self.beat)
        if stood < BEAT_EVERY_S + STALLED_S:
            return
        seconds = stood - BEAT_EVERY_S
        if stack is None:
            self._say(f"the program stood still for {seconds:.0f} s")
        else:
            self._say(f"the program goes on after {seconds:.0f} s")
        self._record(seconds, stack or ())

    def look(self) -> None:
        """Tells, once, of a stall that is going on; for the thread."""
        if self._stack is not None or self._clock() - self._beat < BEAT_EVERY_S + STALLED_S:
            return
        frame = sys._current_frames().get(self._loop_thread)  # pyright: ignore[reportPrivateUsage] (documented)
        found = traceback.extract_stack(frame)[-FRAMES:] if frame is not None else []
        self._stack = tuple(f"{entry.filename}:{entry.lineno} {entry.name}" for entry in found)
        ours = [entry for entry in self._stack if "stackbench" in entry.split(":")[0]] or self._stack
        where = f", in {ours[-1]}" if ours else ""
        self._say(f"the program has stood still for {STALLED_S:.0f} s{where}; a second Ctrl-C ends it at once")

    def _listen(self) -> None:
        while not self._over.wait(BEAT_EVERY_S):
            self.look()
