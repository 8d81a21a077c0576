"""A microphone as a stream of 16 kHz samples that says when the device is gone and goes on when it is back."""

# soxr has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from stackbench.errors import StackbenchError
from stackbench.voice.audio import RATE, Samples, finite, mono
from stackbench.voice.devices import AudioBackend, AudioStream, Block, DeviceError, InputDevice, find_device
from stackbench.voice.ring_buffer import RingBuffer

__all__ = ["Microphone"]

BUFFER_S = 20
SILENT_FOR_S = 0.5
"""Without a callback for so long, the device counts as gone: PortAudio does not report an unplugged one."""
BEGINS_WITHIN_S = 3.0
"""The first callback may take so long: a sound server that has just started, a busy machine."""
LOOK_EVERY_S = 1.0
CLOSE_WITHIN_S = 2.0
WAIT_S = 0.1

Say = Callable[[str], None]


class Microphone:
    """`read` belongs to one thread. The device stays the one that was opened, by name: no other takes its place."""

    def __init__(
        self,
        backend: AudioBackend,
        name: str | None = None,
        say: Say = lambda line: None,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backend = backend
        self._name = name
        self._say = say
        self._now = now
        self._stream: AudioStream | None = None
        self._ring = RingBuffer(1)
        self._resampler: Any = None
        self._arrived = threading.Event()
        self._last_callback = 0.0
        self._heard_anything = False
        self._next_look = 0.0
        self._lost_told = 0
        self._overflows = 0
        self.longest_callback_s = 0.0
        self.device: InputDevice | None = None
        """The one that was opened last."""
        self.rate = 0
        """Of the device."""

    @property
    def lost(self) -> bool:
        """Whether the device is gone."""
        return self._stream is None

    @property
    def overflows(self) -> int:
        """How often samples were lost between device and program."""
        return self._overflows

    def open(self) -> InputDevice:
        """Raises DeviceError, UsageError: there is no such device, or it cannot be used."""
        device = find_device(self._backend.devices(), self._name)
        self._open(device)
        self._name = device.name
        return device

    def _open(self, device: InputDevice) -> None:
        self._ring = RingBuffer(BUFFER_S * 48_000)
        self._heard_anything = False
        stream = self._backend.open(device, self._heard)
        self._last_callback = self._now()
        self.rate = stream.rate
        self._resampler = None
        if stream.rate != RATE:
            import soxr

            self._resampler = soxr.ResampleStream(stream.rate, RATE, 1, dtype="float32", quality="MQ")
        self._stream, self.device = stream, device

    def _heard(self, data: Block, overflow: bool) -> None:
        """The audio callback: copies and leaves."""
        begun = time.perf_counter()
        self._ring.write(mono(data))
        self._last_callback = self._now()
        self._heard_anything = True
        self._overflows += overflow
        self._arrived.set()
        self.longest_callback_s = max(self.longest_callback_s, time.perf_counter() - begun)

    def read(self, wait_s: float = WAIT_S) -> Samples:
        """What came since the last read, 16 kHz; waits a moment for some. Nothing while the device is gone."""
        if self._stream is None:
            self._look()
            if self._stream is None:
                self._arrived.wait(wait_s)
                return np.zeros(0, np.float32)
        self._arrived.wait(wait_s)
        self._arrived.clear()
        samples = finite(self._ring.read())
        self._tell_losses()
        if not len(samples):
            self._watch()
            return samples
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples)
        return samples

    def close(self) -> None:
        if self._stream is not None:
            self._close(self._stream)
            self._stream = None

    def _tell_losses(self) -> None:
        lost = self._ring.lost + self._overflows
        if lost > self._lost_told:
            self._lost_told = lost
            self._say("sound was lost: this machine is too busy to take it all")

    def _watch(self) -> None:
        assert self._stream is not None and self.device is not None
        patience_s = SILENT_FOR_S if self._heard_anything else BEGINS_WITHIN_S
        if self._stream.active and self._now() - self._last_callback < patience_s:
            return
        self._say(f'"{self.device.name}" sends nothing any more; waiting until it is back')
        self._close(self._stream)
        self._stream = None
        self._next_look = self._now()

    def _look(self) -> None:
        """Starts PortAudio anew and looks for the device by its name."""
        if self._now() < self._next_look:
            return
        self._next_look = self._now() + LOOK_EVERY_S
        try:
            self._backend.restart()
            found = [device for device in self._backend.devices() if device.name == self._name]
            if not found:
                return
            self._open(found[0])
        except DeviceError:
            return
        except StackbenchError as error:
            self._say(str(error))
            return
        self._say(f'"{found[0].name}" is back')

    def _close(self, stream: AudioStream) -> None:
        """A device that is gone may not even let itself be closed: that is not waited for."""
        closing = threading.Thread(target=stream.close, daemon=True, name="closing-device")
        closing.start()
        closing.join(CLOSE_WITHIN_S)
