"""`voice`: microphones, operating an engine by speech, and recordings as text."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stackbench.cli.console import notice, print_json, print_json_line, print_line, print_table
from stackbench.config import Home
from stackbench.errors import UsageError
from stackbench.voice.app import Handled, ListenSettings, Told, VoiceSession, turn_document
from stackbench.voice.app import Notice as VoiceNotice
from stackbench.voice.audio import RATE
from stackbench.voice.audio_file import read_blocks
from stackbench.voice.devices import PortAudio
from stackbench.voice.endpointing import Endpointer, EndpointSettings
from stackbench.voice.grammar import Grammar
from stackbench.voice.intents import Intent
from stackbench.voice.speech_probability import SileroModel
from stackbench.voice.turns import Dropped, Partial, Turn, TurnEvent, Turns
from stackbench.voice.vocabulary import benchmark_names, names_in_play
from stackbench.voice.weights import find_weights
from stackbench.voice.whisper import WhisperRecognizer

__all__ = ["devices", "listen", "transcribe"]


def devices(*, as_json: bool) -> None:
    """Prints the microphones."""
    found = PortAudio().devices()
    if as_json:
        print_json([asdict(device) for device in found])
        return
    print_table(
        ["number", "microphone", "through", "channels", "rate", "default"],
        [
            (one.index, one.name, one.api, one.channels, f"{one.rate:.0f}", "yes" if one.default else "")
            for one in found
        ],
        whole=["microphone"],
        right=["number", "channels", "rate"],
    )


def listen(
    home: Path | None,
    *,
    device: str | None,
    recognizer: str,
    language: str,
    silence_s: float,
    push_to_talk: bool,
    barge_in: bool,
    keep_audio: bool,
    as_json: bool,
) -> int:
    """Listens until it is interrupted. `as_json`: each turn is one line of JSON."""
    from stackbench.engine import list_suites
    from stackbench.tui.engine_link import EngineLink
    from stackbench.tui.voice.spoken_operator import SpokenOperator

    place = Home.find(home)
    made = WhisperRecognizer(find_weights(recognizer, place.models), language=language)
    grammar = Grammar(benchmark_names(), tuple(list_suites()))
    made.expect(names_in_play())
    settings = ListenSettings(
        device,
        push_to_talk,
        barge_in,
        EndpointSettings(silence_s=silence_s),
        place.path / "voice" if keep_audio else None,
        place.voice_lock,
    )

    async def run() -> None:
        link = EngineLink(place, "voice")
        operator = SpokenOperator(link, _no_screen)

        def tell(event: Told) -> None:
            if as_json and isinstance(event, Handled):
                now = datetime.now(UTC).isoformat(timespec="milliseconds")
                print_json_line({"ts": now, **turn_document(event, made.name, session.device)})
            else:
                _print(event)

        session = VoiceSession(made, grammar, operator, tell, PortAudio(), settings)
        if push_to_talk:
            _take_keys(session)
        try:
            await session.run()
        finally:
            await operator.record_kept()
            if operator.unrecorded:
                notice(f"no run was live: {operator.unrecorded} turns are in no run's events")
            await link.close()

    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(run())
    return 0


def transcribe(
    home: Path | None, files: Sequence[Path], *, recognizer: str, language: str, silence_s: float, as_json: bool
) -> None:
    """Prints what is said in recordings; they are read block by block, so that an hour takes no more memory."""
    place = Home.find(home, to_write=False)
    made = WhisperRecognizer(find_weights(recognizer, place.models), language=language)
    made.start()
    documents: list[dict[str, Any]] = []
    for path in files:
        turns: list[dict[str, Any]] = []

        def tell(event: TurnEvent, path: Path = path, turns: list[dict[str, Any]] = turns) -> None:
            if isinstance(event, Turn):
                turns.append(_turn_document(event))
                if not as_json:
                    print_line(f"{event.began_s:8.2f} {event.ended_s:8.2f}  {event.text}")
            elif isinstance(event, Dropped):
                notice(f"{path}: nothing understood from {event.began_s:.1f} to {event.ended_s:.1f} s: {event.why}")

        begun = time.perf_counter()
        stream = Turns(Endpointer(SileroModel(), EndpointSettings(silence_s=silence_s)), made, tell, live=False)
        length = 0
        try:
            for block in read_blocks(path, notice):
                length += len(block)
                stream.feed(block)
        except UsageError:
            if as_json and documents:
                print_json(documents)  # what the files before it hold is not lost
            raise
        stream.finish()
        took = time.perf_counter() - begun
        if not turns:
            notice(f"{path}: no speech in {length / RATE:.1f} s")
        documents.append(
            {
                "file": str(path),
                "recognizer": made.name,
                "seconds": round(length / RATE, 3),
                "real_time_factor": round(took * RATE / length, 4) if length else None,
                "text": " ".join(turn["text"] for turn in turns),
                "turns": turns,
            }
        )
    if as_json:
        print_json(documents)


def _turn_document(turn: Turn) -> dict[str, Any]:
    return {
        "began_s": round(turn.began_s, 2),
        "ended_s": round(turn.ended_s, 2),
        "text": turn.text,
        "confidence": round(turn.transcript.confidence, 3),
        "ending": turn.ending,
        "clipped": turn.clipped,
    }


def _print(event: Told) -> None:
    if isinstance(event, VoiceNotice):
        notice(event.text)
    elif isinstance(event, Handled):
        latency = event.turn.latency
        timing = f"text {latency.text_s:.2f} s after speech, {latency.after_endpoint_s:.2f} s after the endpoint"
        print_line(f"said    {event.turn.text}")
        print_line(f"{'refused' if event.refused else 'became '} {event.line}  ({timing})")
        if event.turn.clipped:
            notice("the sound is clipped: turn the microphone down")
    elif isinstance(event, Dropped):
        notice(f"nothing understood: {event.why}")
    elif isinstance(event, Partial) and sys.stderr.isatty():
        notice(f"  ... {event.text.text}")


def _no_screen(intent: Intent) -> str:
    return f'"{intent.name}" is a place of the screens; open them with: stackbench tui'


def _take_keys(session: VoiceSession) -> None:
    """Enter begins a turn, the next one ends it."""
    notice("push to talk: Enter begins a turn, Enter ends it")

    def keys() -> None:
        pressed = False
        for _ in sys.stdin:
            pressed = not pressed
            (session.press if pressed else session.release)()

    threading.Thread(target=keys, daemon=True, name="keys").start()
