"""The microphone: what is heard, what is lost, a device that goes and comes back."""

from __future__ import annotations

import numpy as np
import pytest

from stackbench.errors import UsageError
from stackbench.voice.audio import RATE
from stackbench.voice.devices import DeviceError, find_device
from stackbench.voice.microphone import Microphone
from stackbench.voice.ring_buffer import RingBuffer
from tests.voice.pretenders import PretendAudio, loud


class Desk:
    """A microphone with a clock that stands still until a test moves it."""

    def __init__(self, audio: PretendAudio | None = None, name: str | None = None) -> None:
        self.audio = audio or PretendAudio()
        self.now_s = 100.0
        self.said: list[str] = []
        self.microphone = Microphone(self.audio, name, self.said.append, now=lambda: self.now_s)
        self.microphone.open()

    def hear(self, samples: np.ndarray, *, overflow: bool = False) -> None:
        self.audio.streams[-1].heard(samples.reshape(len(samples), -1), overflow)

    def read(self) -> np.ndarray:
        return self.microphone.read(wait_s=0)


def test_what_the_callback_gets_is_read_in_order() -> None:
    desk = Desk()
    sound = np.arange(1000, dtype=np.float32) / 1000
    desk.hear(sound[:400])
    desk.hear(sound[400:])
    assert desk.read().tolist() == sound.tolist()
    assert len(desk.read()) == 0


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_a_device_of_another_rate_is_resampled(rate: int) -> None:
    desk = Desk(PretendAudio(rate=rate))
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32)
    for start in range(0, rate, rate // 50):
        desk.hear(tone[start : start + rate // 50])
    heard = desk.read()
    assert len(heard) == pytest.approx(RATE, rel=0.05)
    peak = np.argmax(np.abs(np.fft.rfft(heard))) * RATE / len(heard)
    assert peak == pytest.approx(440, abs=2)


@pytest.mark.parametrize("rate", [RATE, 48_000])
def test_samples_that_are_no_numbers_are_silence_and_spoil_no_others(rate: int) -> None:
    desk = Desk(PretendAudio(rate=rate))
    sound = loud(rate / RATE)
    sound[100], sound[5_000], sound[9_000] = np.nan, np.inf, -np.inf
    desk.hear(sound)
    heard = desk.read()
    assert np.isfinite(heard).all() and np.max(np.abs(heard)) < 1
    assert np.mean(np.abs(heard)) == pytest.approx(np.mean(np.abs(loud(1))), rel=0.02)


def test_two_channels_become_one() -> None:
    desk = Desk()
    desk.hear(np.array([[0.2, 0.4], [0.0, 1.0]], np.float32))
    assert desk.read().tolist() == pytest.approx([0.3, 0.5])


def test_an_overflow_is_reported_once_for_each_loss() -> None:
    desk = Desk()
    desk.hear(loud(0.1), overflow=True)
    desk.read()
    desk.hear(loud(0.1))
    desk.read()
    assert desk.said == ["sound was lost: this machine is too busy to take it all"]
    assert desk.microphone.overflows == 1


def test_a_device_that_sends_nothing_for_half_a_second_is_lost_and_is_found_again_by_its_name() -> None:
    desk = Desk(PretendAudio(["desk mic", "webcam"]))
    desk.hear(loud(0.1))
    desk.read()
    desk.now_s += 0.4
    desk.read()
    assert not desk.microphone.lost
    desk.now_s += 0.2
    desk.audio.names = ["webcam"]
    desk.read()
    assert desk.microphone.lost and desk.audio.streams[0].closed
    assert desk.said[-1] == '"desk mic" sends nothing any more; waiting until it is back'
    for _ in range(3):
        desk.now_s += 1.1
        desk.read()
    assert desk.audio.opened == ["desk mic"]  # the webcam did not take its place
    assert desk.audio.restarts >= 3
    desk.audio.names = ["webcam", "desk mic"]
    desk.now_s += 1.1
    desk.read()
    assert desk.audio.opened == ["desk mic", "desk mic"]
    assert desk.said[-1] == '"desk mic" is back'
    desk.hear(loud(0.1))
    assert len(desk.read()) == 1600


def test_a_stream_that_is_inactive_is_lost_at_once() -> None:
    desk = Desk()
    desk.audio.streams[0].active = False
    desk.read()
    assert not desk.microphone.lost or desk.said[0].startswith('"desk mic" sends nothing')
    assert desk.said


def test_a_device_that_another_program_holds_when_it_is_back_is_waited_for() -> None:
    desk = Desk()
    desk.audio.streams[0].active = False
    desk.read()
    desk.audio.refuses = True
    desk.now_s += 2
    desk.read()
    assert desk.microphone.lost
    desk.audio.refuses = False
    desk.now_s += 2
    desk.read()
    assert not desk.microphone.lost


def test_a_device_that_another_program_holds_is_told_at_once() -> None:
    audio = PretendAudio()
    audio.refuses = True
    with pytest.raises(DeviceError, match="another program holds it"):
        Microphone(audio).open()


def test_a_device_is_named_by_a_part_of_its_name_or_its_number() -> None:
    devices = PretendAudio(["USB Audio", "Intel Audio", "Intel Loopback"]).devices()
    assert find_device(devices, None).name == "USB Audio"
    assert find_device(devices, "usb").name == "USB Audio"
    assert find_device(devices, "2").name == "Intel Loopback"
    with pytest.raises(UsageError, match="several devices fit.*1: Intel Audio.*2: Intel Loopback"):
        find_device(devices, "intel")
    with pytest.raises(DeviceError, match='no device is named "bluetooth".*USB Audio, Intel Audio'):
        find_device(devices, "bluetooth")
    with pytest.raises(DeviceError, match="no device to record from"):
        find_device([], None)


def test_the_ring_keeps_the_newest_and_counts_what_is_lost() -> None:
    ring = RingBuffer(10)
    ring.write(np.arange(4, dtype=np.float32))
    assert ring.read().tolist() == [0, 1, 2, 3]
    ring.write(np.arange(25, dtype=np.float32))
    assert ring.read().tolist() == list(range(15, 25))
    assert ring.lost == 15
    ring.write(np.arange(7, dtype=np.float32))
    ring.write(np.arange(7, dtype=np.float32))
    assert ring.read().tolist() == [4, 5, 6, 0, 1, 2, 3, 4, 5, 6]
    assert ring.lost == 19
