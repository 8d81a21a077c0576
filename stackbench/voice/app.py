"""Listening as the command line and the screens do: microphone, turns, what is meant, and what becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from stackbench.errors import StackbenchError, one_line
from stackbench.voice.audio import RATE
from stackbench.voice.devices import AudioBackend
from stackbench.voice.dialogue import Dialogue
from stackbench.voice.endpointing import Endpointer, EndpointSettings
from stackbench.voice.grammar import Grammar
from stackbench.voice.intents import Intent
from stackbench.voice.microphone import Microphone
from stackbench.voice.one_listener import only_listener
from stackbench.voice.recognition import Recognizer
from stackbench.voice.speech_probability import SileroModel, SpeechProbability
from stackbench.voice.turns import Turn, TurnEvent, Turns

__all__ = ["Handled", "ListenSettings", "Notice", "Operator", "Told", "VoiceSession", "turn_document"]


class Operator(Protocol):
    """Carries out what was said."""

    async def carry_out(self, intent: Intent) -> str:
        """What became of it, in one line. Raises StackbenchError where it was refused."""
        ...

    async def record(self, payload: dict[str, Any]) -> None:
        """Keeps a turn among the events of the live run."""
        ...


@dataclass(frozen=True, slots=True)
class ListenSettings:
    """How to listen."""

    device: str | None = None
    push_to_talk: bool = False
    barge_in: bool = True
    endpoint: EndpointSettings = field(default_factory=EndpointSettings)
    keep_audio: Path | None = None
    """The folder that turns are kept in as FLAC; None: no sound is kept."""
    lock: Path | None = None
    """The file that makes this the only listener; None: nothing is carried out that others could carry out too."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A line for the operator."""

    text: str
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Handled:
    """A turn, what it meant, and what became of it."""

    turn: Turn
    intent: Intent
    line: str
    refused: bool
    carried_out_s: float
    """From the final text until it was carried out."""
    said_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When its first word began."""
    audio: str | None = None
    """The file that its sound is kept in."""


Told: TypeAlias = TurnEvent | Notice | Handled


class VoiceSession:
    """`run` listens until it is cancelled or `stop` is called. `tell` is called on the event loop."""

    def __init__(
        self,
        recognizer: Recognizer,
        grammar: Grammar,
        operator: Operator,
        tell: Callable[[Told], None],
        backend: AudioBackend,
        settings: ListenSettings | None = None,
        *,
        probability: Callable[[], SpeechProbability] = SileroModel,
    ) -> None:
        self.settings = settings or ListenSettings()
        self._recognizer = recognizer
        self._grammar = grammar
        self._operator = operator
        self._tell = tell
        self._backend = backend
        self._probability = probability
        self._dialogue = Dialogue()
        self._stop = threading.Event()
        self._keys: list[Callable[[], None]] = []
        self._turns: Turns | None = None
        self.device = ""
        """Name of the device that is listened to."""

    def stop(self) -> None:
        """From any thread."""
        self._stop.set()

    def press(self) -> None:
        """The key of push-to-talk goes down."""
        if self._turns is not None:
            self._keys.append(self._turns.press)

    def release(self) -> None:
        """The key goes up: the turn ends."""
        if self._turns is not None:
            self._keys.append(self._turns.release)

    def set_push_to_talk(self, wanted: bool) -> None:
        """From push-to-talk to an open microphone and back; a turn that is open ends."""
        turns = self._turns
        if turns is None:
            return

        def change() -> None:
            turns.release()
            turns.endpointer.push_to_talk = wanted

        self._keys.append(change)

    async def run(self) -> None:
        """Raises DeviceError, UsageError, ModelError: listening cannot begin."""
        with contextlib.nullcontext() if self.settings.lock is None else only_listener(self.settings.lock):
            await self._run()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        heard: asyncio.Queue[Told | None] = asyncio.Queue()

        def put(event: Told | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(heard.put_nowait, event)

        microphone = Microphone(self._backend, self.settings.device, lambda line: put(Notice(line)))
        device = await asyncio.to_thread(microphone.open)
        self.device = device.name
        listening: asyncio.Future[None] | None = None
        try:
            await asyncio.to_thread(self._recognizer.start)
            endpointer = Endpointer(
                await asyncio.to_thread(self._probability),
                self.settings.endpoint,
                push_to_talk=self.settings.push_to_talk,
            )
            turns = Turns(endpointer, self._recognizer, put, barge_in=self.settings.barge_in)
            self._turns = turns
            put(Notice(f'listening to "{device.name}" with {self._recognizer.name}'))
            listening = asyncio.ensure_future(asyncio.to_thread(self._listen, microphone, turns, put))
            while (event := await heard.get()) is not None:
                if isinstance(event, Turn):
                    await self._handle(event, turns)
                else:
                    self._tell(event)
            await listening
        finally:
            self._stop.set()
            if listening is not None:
                with contextlib.suppress(Exception):
                    await asyncio.shield(listening)
            await asyncio.to_thread(microphone.close)
            self._turns = None

    def _listen(self, microphone: Microphone, turns: Turns, put: Callable[[Told | None], None]) -> None:
        """In a thread of its own."""
        try:
            microphone.read()  # what came while the model was loaded
            while not self._stop.is_set():
                keys = len(self._keys)
                samples = microphone.read()
                if len(samples):
                    turns.feed(samples)
                for _ in range(keys):  # behind all that was said before the key
                    self._keys.pop(0)()
            turns.finish()
        except Exception as error:
            put(Notice(f"listening ended: {error}", bad=True))
        finally:
            put(None)

    async def _handle(self, turn: Turn, turns: Turns) -> None:
        begun = time.perf_counter()
        said_at = datetime.now(UTC) - timedelta(seconds=turn.latency.speech_s + turn.latency.text_s)
        intent = self._grammar.understand(turn.text)
        self._tell(turn)
        step = self._dialogue.take(intent, turn.latency.speech_s + turn.latency.text_s)
        line, refused = step.line, False
        if step.intent is not None:
            turns.busy = True
            try:
                line = await self._operator.carry_out(step.intent)
            except StackbenchError as error:
                line, refused = str(error), True
            finally:
                turns.busy = False
        handled = Handled(turn, intent, line, refused, time.perf_counter() - begun, said_at)
        if self.settings.keep_audio is not None:
            try:
                kept = str(await asyncio.to_thread(_keep, turn, self.settings.keep_audio))
            except StackbenchError as error:
                self._tell(Notice(f"the turn's sound is not kept: {error}", bad=True))
            else:
                handled = replace(handled, audio=kept)
        self._tell(handled)
        try:
            await self._operator.record(turn_document(handled, self._recognizer.name, self.device))
        except StackbenchError as error:
            self._tell(Notice(f"the turn is not kept: {error}", bad=True))


def turn_document(handled: Handled, recognizer: str, device: str) -> dict[str, Any]:
    """A turn as it is recorded in `events` and printed with `--json`; times in milliseconds from the end of speech,
    but `speech`, its length. `said_at`: when its first word began, in UTC; a turn before a run is recorded with the
    next one, later than it was said. `audio`: the file that its sound is kept in."""
    turn, latency = handled.turn, handled.turn.latency
    return {
        "said_at": handled.said_at.isoformat(timespec="milliseconds"),
        "text": turn.text,
        "confidence": round(turn.transcript.confidence, 3),
        "recognizer": recognizer,
        "device": device,
        "ending": turn.ending,
        "clipped": turn.clipped,
        "intent": handled.intent.model_dump(exclude={"text"}),
        "became": handled.line,
        "refused": handled.refused,
        "latency_ms": {
            "speech": round(1000 * latency.speech_s),
            "endpoint": round(1000 * latency.endpoint_s),
            "text": round(1000 * latency.text_s),
            "final_pass": round(1000 * latency.pass_s),
            "carried_out": round(1000 * (latency.text_s + handled.carried_out_s)),
        },
        "audio": handled.audio,
    }


def _keep(turn: Turn, folder: Path) -> Path:
    """Writes the sound of a turn, for this user only. Raises StackbenchError."""
    import soundfile

    path = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}Z.flac"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        soundfile.write(str(path), turn.audio, RATE)  # pyright: ignore[reportUnknownMemberType]
    except (OSError, RuntimeError) as error:
        raise StackbenchError(f"{path} cannot be written ({one_line(error)})") from error
    return path
