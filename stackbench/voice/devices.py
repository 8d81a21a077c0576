"""Audio devices through PortAudio: which there are, one by name, and a stream of samples from one."""

# sounddevice has partial types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from stackbench.errors import StackbenchError, UsageError, one_line
from stackbench.extras import install_command
from stackbench.suggestions import did_you_mean
from stackbench.voice.audio import RATE

__all__ = ["AudioBackend", "AudioStream", "DeviceError", "InputDevice", "PortAudio", "find_device"]

BLOCK_S = 0.02
RATES = (RATE, 48_000, 44_100, 32_000, 8_000)
PORTAUDIO = "PortAudio is not on this machine (Debian, as root: apt-get install -y libportaudio2)"

Block = npt.NDArray[np.float32]
Heard = Callable[[Block, bool], None]
"""Takes a block of frames by channels, and whether samples were lost before it."""


class DeviceError(StackbenchError):
    """A microphone cannot be used, or does not answer any more."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class InputDevice:
    """A device that sound can be recorded from."""

    index: int
    name: str
    api: str
    channels: int
    rate: float
    """The one that it works at by itself."""
    default: bool


class AudioStream(Protocol):
    """A running recording."""

    @property
    def rate(self) -> int: ...

    @property
    def active(self) -> bool: ...

    def close(self) -> None: ...


class AudioBackend(Protocol):
    """What is asked of the machine's audio."""

    def devices(self) -> Sequence[InputDevice]:
        """Raises DeviceError where there is no audio at all."""
        ...

    def open(self, device: InputDevice, heard: Heard) -> AudioStream:
        """Raises DeviceError."""
        ...

    def restart(self) -> None:
        """Looks for devices anew: PortAudio lists them once, when it starts."""
        ...


def find_device(devices: Sequence[InputDevice], name: str | None) -> InputDevice:
    """The device of that name, a part of it or its number; None: the default one.

    Raises:
        DeviceError: there is none.
        UsageError: several fit.
    """
    if not devices:
        raise DeviceError("no device to record from; connect a microphone, then: stackbench voice devices")
    if name is None:
        found = [device for device in devices if device.default] or list(devices[:1])
        return found[0]
    exact = [device for device in devices if device.name == name or str(device.index) == name]
    fitting = exact or [device for device in devices if name.casefold() in device.name.casefold()]
    if len(fitting) > 1:
        names = ", ".join(f"{device.index}: {device.name} ({device.api})" for device in fitting)
        raise UsageError(f'several devices fit "{name}": {names}; give one\'s number')
    if not fitting:
        names = [device.name for device in devices]
        raise DeviceError(f'no device is named "{name}"{did_you_mean(name, names)}; there are: {", ".join(names)}')
    return fitting[0]


class PortAudio:
    """Implements `AudioBackend` through sounddevice."""

    def __init__(self) -> None:
        try:
            import sounddevice
        except ImportError as error:
            raise UsageError(
                f"a microphone needs sounddevice ({one_line(error)}); {install_command('voice')}"
            ) from error
        except OSError as error:
            raise DeviceError(PORTAUDIO) from error
        self._library: Any = sounddevice

    def devices(self) -> list[InputDevice]:
        try:
            apis = [str(api["name"]) for api in self._library.query_hostapis()]
            default = self._library.default.device[0]
            return [
                InputDevice(
                    int(one["index"]), str(one["name"]), apis[one["hostapi"]], int(one["max_input_channels"]),
                    float(one["default_samplerate"]), one["index"] == default,
                )
                for one in self._library.query_devices()
                if one["max_input_channels"] > 0
            ]  # fmt: skip
        except (self._library.PortAudioError, KeyError, IndexError) as error:
            raise DeviceError(f"the audio devices cannot be listed: {one_line(error)}") from error

    def open(self, device: InputDevice, heard: Heard) -> AudioStream:
        library = self._library
        failure: Exception | None = None
        for channels in dict.fromkeys((1, min(2, device.channels))):
            for rate in dict.fromkeys((*RATES, round(device.rate))):
                try:
                    library.check_input_settings(
                        device=device.index, channels=channels, dtype="float32", samplerate=rate
                    )
                    return _Stream(library, device.index, rate, channels, heard)
                except (library.PortAudioError, ValueError) as error:
                    failure = error
        raise DeviceError(
            f'"{device.name}" cannot be recorded from: {one_line(failure)}; does another program hold it?'
        ) from failure

    def restart(self) -> None:
        with contextlib.suppress(self._library.PortAudioError):
            self._library._terminate()
        with contextlib.suppress(self._library.PortAudioError):
            self._library._initialize()


class _Stream:
    def __init__(self, library: Any, index: int, rate: int, channels: int, heard: Heard) -> None:
        self.rate = rate
        self._library = library

        def callback(data: Block, frames: int, times: Any, status: Any) -> None:
            heard(data, bool(status.input_overflow))

        self._stream: Any = library.InputStream(
            device=index,
            channels=channels,
            samplerate=rate,
            dtype="float32",
            blocksize=round(rate * BLOCK_S),
            latency="low",
            callback=callback,
        )
        try:
            self._stream.start()
        except library.PortAudioError:
            self._stream.close(ignore_errors=True)
            raise

    @property
    def active(self) -> bool:
        try:
            return bool(self._stream.active)
        except self._library.PortAudioError:
            return False

    def close(self) -> None:
        with contextlib.suppress(self._library.PortAudioError):
            self._stream.abort(ignore_errors=True)
            self._stream.close(ignore_errors=True)
