"""The voice screen: a turn by push-to-talk, its text, what became of it and where its time went; places by speech."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from stackbench.config import Home
from stackbench.tui.sql.sql_screen import SqlScreen
from stackbench.tui.voice.voice_screen import VoiceScreen
from stackbench.voice.app import ListenSettings, Operator, Told, VoiceSession
from stackbench.voice.devices import DeviceError
from stackbench.voice.grammar import Grammar
from tests.tui.pilots import Screens, opened
from tests.tui.recorded_home import make_home
from tests.voice.pretenders import Loudness, PretendAudio, ScriptedRecognizer, loud, quiet


class Talker(PretendAudio):
    """A microphone into which a test speaks; silence keeps coming, as from a real one."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = 0
        """Of how many turns something was said: a busy machine may have one recognised twice."""
        self._lock = threading.Lock()
        self._stop = threading.Event()
        threading.Thread(target=self._idle, daemon=True).start()

    def _idle(self) -> None:
        while not self._stop.wait(0.02):
            self.hear(quiet(0.02))

    def hear(self, samples: np.ndarray) -> None:
        with self._lock:
            if self.streams:
                self.streams[-1].heard(samples.reshape(-1, 1), False)

    def speak(self, samples: np.ndarray) -> None:
        """The speech of the next turn."""
        self.turn += 1
        self.hear(samples)

    def close(self) -> None:
        self._stop.set()


@asynccontextmanager
async def talking(home: Home, texts: Sequence[str]) -> AsyncIterator[tuple[Screens, Talker]]:
    audio = Talker()

    def make(home: Home, operator: Operator, tell: Callable[[Told], None]) -> VoiceSession:
        grammar = Grammar(("humaneval", "mbpp"))
        settings = ListenSettings(push_to_talk=True)
        recognizer = ScriptedRecognizer(say=lambda samples: texts[min(audio.turn, len(texts)) - 1])
        return VoiceSession(recognizer, grammar, operator, tell, audio, settings, probability=Loudness)

    try:
        async with opened(home) as screens:
            await screens.app.push_screen(VoiceScreen(make))
            await screens.shows('listening to "desk mic" with scripted', "push to talk")
            yield screens, audio
    finally:
        audio.close()


async def say(screens: Screens, audio: Talker) -> None:
    """One turn with the key."""
    await screens.press("space")
    await screens.shows("talking", "listening ...")
    audio.speak(np.concatenate([loud(1), quiet(0.3)]))
    await screens.press("space")


async def test_a_turn_shows_its_text_what_became_of_it_and_where_its_time_went(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    async with talking(home, ["what is the status"]) as (screens, audio):
        await say(screens, audio)
        shown = await screens.shows("said    what is the status", "refused", "no engine serves")
        assert "silence until the endpoint" in shown and "carried out" in shown
        assert "n=1" in shown and "p99" in shown


async def test_what_stops_waits_for_a_second_word(tmp_path: Path) -> None:
    async with talking(make_home(tmp_path), ["stop", "never mind"]) as (screens, audio):
        await say(screens, audio)
        await screens.shows('stop? say "confirm" within 10 s')
        await say(screens, audio)
        await screens.shows("not done: stop")


async def test_places_are_gone_to_by_speech_and_the_screen_behind_goes_on_listening(tmp_path: Path) -> None:
    async with talking(make_home(tmp_path), ["open sql", "go back"]) as (screens, audio):
        await screens.press("o")
        await screens.shows("open microphone")
        audio.speak(np.concatenate([loud(1), quiet(1)]))
        await screens.until(lambda: isinstance(screens.app.screen, SqlScreen), "the screen sql")
        audio.speak(np.concatenate([loud(1), quiet(1)]))
        await screens.until(lambda: isinstance(screens.app.screen, VoiceScreen), "back at voice")
        await screens.shows("go to sql", "go to back")


async def test_without_a_microphone_the_screen_says_what_to_do(tmp_path: Path) -> None:
    def make(home: Home, operator: Operator, tell: Callable[[Told], None]) -> VoiceSession:
        raise DeviceError("no device to record from; connect a microphone, then: stackbench voice devices")

    async with opened(make_home(tmp_path)) as screens:
        await screens.app.push_screen(VoiceScreen(make))
        await screens.shows("no device to record from; connect a microphone")
        await screens.press("space", "o")  # neither does harm
        await screens.shows("no device to record from")


async def test_a_prompted_sentence_is_compared_with_what_is_heard(tmp_path: Path) -> None:
    async with talking(make_home(tmp_path), ["show humaneval with ten tasks"]) as (screens, audio):
        await screens.press("p")
        await screens.shows("say: Start human eval with ten tasks.")
        await say(screens, audio)
        await screens.shows("of the prompted sentence 1 of 5 words wrong")
