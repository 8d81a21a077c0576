"""Screen 9: speech: the microphone's level, what is said, what becomes of it, and where the time goes."""

# An app of Textual has a type variable that its screens leave open.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import RichLog, Static

from stackbench.benchmarks.voice.prompted import Sentence, prompted_sentences
from stackbench.config import Home
from stackbench.errors import StackbenchError
from stackbench.tui.engine_link import EngineLink
from stackbench.tui.room_screen import RoomScreen
from stackbench.tui.safe_text import cut_line
from stackbench.tui.tones import Tones, tones_of
from stackbench.tui.voice.places import go_to_place
from stackbench.tui.voice.spoken_operator import SpokenOperator
from stackbench.tui.voice.voice_text import compared_line, level_line, percentile_lines, turn_lines, waterfall
from stackbench.voice.app import Handled, ListenSettings, Notice, Operator, Told, VoiceSession
from stackbench.voice.turns import Dropped, Latency, Level, Partial, SpeechBegan, Turn

__all__ = ["MakeSession", "VoiceScreen"]

MakeSession = Callable[[Home, Operator, Callable[[Told], None]], VoiceSession]
"""Makes what listens; tests have one without a microphone."""

LONGEST = 300
PROMPTED = 60


def real_session(home: Home, operator: Operator, tell: Callable[[Told], None]) -> VoiceSession:
    """With the default microphone and the default recogniser. Raises UsageError, ModelError, DeviceError."""
    from stackbench.engine import list_suites
    from stackbench.voice.devices import PortAudio
    from stackbench.voice.grammar import Grammar
    from stackbench.voice.vocabulary import benchmark_names, names_in_play
    from stackbench.voice.weights import DEFAULT, find_weights
    from stackbench.voice.whisper import WhisperRecognizer

    recognizer = WhisperRecognizer(find_weights(DEFAULT, home.models))
    recognizer.expect(names_in_play())
    grammar = Grammar(benchmark_names(), tuple(list_suites()))
    settings = ListenSettings(push_to_talk=True, lock=home.voice_lock)
    return VoiceSession(recognizer, grammar, operator, tell, PortAudio(), settings)


class VoiceScreen(RoomScreen):
    """Listens while it is open, also behind another screen that was gone to by speech."""

    CSS_PATH = "voice_screen.tcss"
    ROOM = "voice"
    ABOUT = (
        "Operates runs by speech. Space begins a turn and ends it (a terminal does not tell when a key is let go); "
        "with an open microphone, silence ends it. What stops, cancels or approves needs a second word. No sound is "
        "kept."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "talk", "Talk"),
        Binding("o", "open_microphone", "Open microphone"),
        Binding("p", "prompt", "Prompted sentence"),
        Binding("x", "clear", "Clear", show=False),
    ]

    def __init__(self, make: MakeSession = real_session) -> None:
        super().__init__()
        self._make = make
        self._session: VoiceSession | None = None
        self._operator: SpokenOperator | None = None
        self._listening: asyncio.Task[None] | None = None
        self._state = "the recogniser is loaded ..."
        self._pressed = False
        self._open = False
        self._latencies: list[Latency] = []
        self._last: Handled | None = None
        self._prompted: list[Sentence] = []
        self._sentence: Sentence | None = None
        self._voice_link: EngineLink | None = None

    def compose_room(self) -> ComposeResult:
        yield Static(id="voice-state", markup=False)
        yield Static(id="voice-level", markup=False)
        yield Static(id="voice-partial", markup=False)
        yield RichLog(id="voice-turns", markup=False, wrap=True, max_lines=500)
        yield Static(id="voice-waterfall", markup=False)

    def on_mount(self) -> None:
        self.show_place()
        self._show_state()
        self._voice_link = EngineLink(self.room_app.home, "voice")
        self._operator = SpokenOperator(self._voice_link, lambda intent: go_to_place(self.room_app, intent))
        self._listening = asyncio.create_task(self._listen())

    async def on_unmount(self) -> None:
        if self._session is not None:
            self._session.stop()
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        if self._voice_link is not None:
            await self._voice_link.close()

    async def _listen(self) -> None:
        assert self._operator is not None
        try:
            self._session = await asyncio.to_thread(self._make, self.room_app.home, self._operator, self._tell)
            await self._session.run()
        except StackbenchError as error:
            self._say_state(str(error), bad=True)

    # -- what is heard

    def _tell(self, event: Told) -> None:
        if not self.is_attached:
            return
        if isinstance(event, Level):
            self.query_one("#voice-level", Static).update(level_line(event, self._tones))
        elif isinstance(event, Notice):
            self._say_state(event.text, bad=event.bad)
        elif isinstance(event, Handled):
            self._show_turn(event)
        else:
            self._show_partial(event)

    def _show_partial(self, event: SpeechBegan | Partial | Turn | Dropped) -> None:
        line = Text()
        if isinstance(event, SpeechBegan):
            line.append("listening ...", style=self._tones["dim"])
        elif isinstance(event, Partial):
            line.append(cut_line(event.text.settled, LONGEST))
            line.append(f" {cut_line(event.text.open, LONGEST)}", style=self._tones["dim"])
        elif isinstance(event, Turn):
            line.append(cut_line(event.text, LONGEST), style="bold")
        else:
            line.append(f"nothing understood: {cut_line(event.why, LONGEST)}", style=self._tones["warn"])
        self.query_one("#voice-partial", Static).update(line)

    def _show_turn(self, handled: Handled) -> None:
        log = self.query_one("#voice-turns", RichLog)
        for line in turn_lines(handled, self._tones):
            log.write(line)
        self._latencies.append(handled.turn.latency)
        if self._sentence is not None:
            log.write(compared_line(self._sentence.text, handled.turn.text, self._tones))
            self._sentence = None
        self._last = handled
        self._show_waterfall()
        if handled.turn.clipped:
            self.tell("the sound is clipped: turn the microphone down", bad=True)

    def _show_waterfall(self) -> None:
        """Of the last turn, as wide as there is room."""
        if self._last is not None:
            pane = self.query_one("#voice-waterfall", Static)
            lines = [*waterfall(self._last, self.size.width - 2, self._tones), *percentile_lines(self._latencies)]
            pane.update(Text("\n").join(lines))

    def on_resize(self) -> None:
        self._show_waterfall()

    def _say_state(self, text: str, *, bad: bool = False) -> None:
        self._state = text
        self._show_state(bad=bad)

    def _show_state(self, *, bad: bool = False) -> None:
        mode = "open microphone" if self._open else "talking" if self._pressed else "push to talk"
        line = Text()
        line.append(f"{mode}   ", style=self._tones["good" if self._open or self._pressed else "accent"])
        line.append(cut_line(self._state, LONGEST), style=self._tones["bad" if bad else ""])
        self.query_one("#voice-state", Static).update(line)

    @property
    def _tones(self) -> Tones:
        return tones_of(self.app.current_theme)

    # -- keys

    def action_talk(self) -> None:
        if self._session is None or self._open:
            return
        self._pressed = not self._pressed
        (self._session.press if self._pressed else self._session.release)()
        self._show_state()

    def action_open_microphone(self) -> None:
        if self._session is None:
            return
        self._open, self._pressed = not self._open, False
        self._session.set_push_to_talk(not self._open)
        self._show_state()

    def action_prompt(self) -> None:
        """Shows a sentence to speak; what is heard is compared with it."""
        if not self._prompted:
            self._prompted = prompted_sentences(PROMPTED)
        self._sentence = self._prompted.pop(0)
        self._say_state(f"say: {self._sentence.text}")

    def action_clear(self) -> None:
        self.query_one("#voice-turns", RichLog).clear()
