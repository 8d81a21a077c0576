"""`voice bench --live`: an operator speaks prompted sentences; latencies, errors, and a picture of them."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

from stackbench.benchmarks.voice.prompted import Sentence, prompted_sentences
from stackbench.cli.console import notice, print_json, print_line, print_table
from stackbench.config import Home
from stackbench.errors import StackbenchError, UsageError
from stackbench.extras import install_command
from stackbench.voice.devices import PortAudio
from stackbench.voice.endpointing import Endpointer, EndpointSettings
from stackbench.voice.microphone import Microphone
from stackbench.voice.scoring import ErrorCounts, as_written, entities_found, word_errors
from stackbench.voice.speech_probability import SileroModel
from stackbench.voice.spoken_symbols import written
from stackbench.voice.turns import Dropped, Turn, TurnEvent, Turns
from stackbench.voice.vocabulary import names_in_play
from stackbench.voice.weights import find_weights
from stackbench.voice.whisper import WhisperRecognizer

__all__ = ["bench"]

SPEAK_WITHIN_S = 30.0
PERCENTILES = (50, 90, 99)
STEPS = ("endpoint", "text", "text after the endpoint", "final pass")


@dataclass(frozen=True, slots=True)
class Measured:
    """A sentence as it was heard."""

    sentence: Sentence
    turn: Turn
    errors: ErrorCounts
    missing: tuple[str, ...]


def bench(
    home: Path | None,
    *,
    live: bool,
    count: int,
    device: str | None,
    recognizer: str,
    silence_s: float,
    plot: Path | None,
    as_json: bool,
) -> int:
    """Prompts, listens, and prints what came of it; 3 where nothing was understood."""
    if not live:
        raise UsageError("voice bench measures your own voice: add --live; recordings are measured by eval voice")
    if plot is not None and plot.suffix != ".png":
        raise UsageError(f"--plot writes .png, not {plot.name}")
    tell = notice if as_json else print_line
    made = WhisperRecognizer(find_weights(recognizer, Home.find(home, to_write=False).models))
    made.expect(names_in_play())
    microphone = Microphone(PortAudio(), device, notice)
    opened = microphone.open()
    try:
        made.start()
        notice(f'"{opened.name}", {made.name}; speak each sentence once, Ctrl-C ends it early')
        measured = _measure(microphone, made, prompted_sentences(count), EndpointSettings(silence_s=silence_s), tell)
    finally:
        microphone.close()
    if not measured:
        raise StackbenchError("nothing was understood; stackbench voice devices lists the microphones")
    steps = {name: _percentiles([_step(one, name) for one in measured]) for name in STEPS}
    errors = sum(one.errors.errors for one in measured) / max(1, sum(one.errors.length for one in measured))
    if plot is not None:
        _draw(plot, steps, f"{made.name}, {len(measured)} sentences")
    if as_json:
        print_json(_document(made.name, opened.name, measured, steps, errors))
        return 0
    print_table(
        ["from the end of speech", *(f"p{percent}" for percent in PERCENTILES)],
        [[name, *(f"{values[percent]:.0f} ms" for percent in PERCENTILES)] for name, values in steps.items()],
        right=[f"p{percent}" for percent in PERCENTILES],
    )
    print_line(f"word error rate {100 * errors:.1f}% over {len(measured)} sentences")
    return 0


def _measure(
    microphone: Microphone,
    recognizer: WhisperRecognizer,
    sentences: Sequence[Sentence],
    settings: EndpointSettings,
    tell: Callable[[str], None],
) -> list[Measured]:
    heard: queue.SimpleQueue[TurnEvent] = queue.SimpleQueue()
    turns = Turns(Endpointer(SileroModel(), settings), recognizer, heard.put)
    measured: list[Measured] = []
    try:
        for number, sentence in enumerate(sentences, 1):
            tell(f"{number}/{len(sentences)}  say: {sentence.text}")
            turn = _next_turn(microphone, turns, heard)
            if turn is None:
                notice(f"nothing was said in {SPEAK_WITHIN_S:.0f} s; going on")
                continue
            text = written(turn.text)
            errors = word_errors(as_written(sentence.text), text)
            measured.append(Measured(sentence, turn, errors, entities_found(sentence.entities, text).missing))
            latency = turn.latency
            tell(
                f"     heard: {text}  ({100 * errors.rate:.0f}% wrong; text {1000 * latency.text_s:.0f} ms after "
                f"speech, {1000 * latency.after_endpoint_s:.0f} ms after the endpoint)"
            )
    except KeyboardInterrupt:
        notice("ended early")
    finally:
        turns.finish()
    return measured


def _next_turn(microphone: Microphone, turns: Turns, heard: queue.SimpleQueue[TurnEvent]) -> Turn | None:
    deadline = time.monotonic() + SPEAK_WITHIN_S
    while time.monotonic() < deadline:
        samples = microphone.read()
        if len(samples):
            turns.feed(samples)
        while not heard.empty():
            event = heard.get()
            if isinstance(event, Turn):
                return event
            if isinstance(event, Dropped):
                notice(f"     nothing understood: {event.why}; say it again")
    return None


def _step(one: Measured, name: str) -> float:
    """Milliseconds."""
    latency = one.turn.latency
    seconds = {
        "endpoint": latency.endpoint_s,
        "text": latency.text_s,
        "text after the endpoint": latency.after_endpoint_s,
        "final pass": latency.pass_s,
    }
    return 1000 * seconds[name]


def _percentiles(values: Sequence[float]) -> dict[int, float]:
    cuts = quantiles(values, n=100, method="inclusive") if len(values) > 1 else [values[0]] * 99
    return {percent: cuts[percent - 1] for percent in PERCENTILES}


def _draw(path: Path, steps: dict[str, dict[int, float]], title: str) -> None:
    from stackbench.report.voice_plot import latency_plot

    try:
        path.write_bytes(latency_plot(steps, title))
    except ImportError as error:
        raise UsageError(
            f"--plot needs the report extra ({error.name} is missing); {install_command('report')}"
        ) from error
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}; name another file with --plot") from error
    notice(f"picture written to {path}")


def _document(
    recognizer: str, device: str, measured: Sequence[Measured], steps: dict[str, dict[int, float]], errors: float
) -> dict[str, Any]:
    return {
        "recognizer": recognizer,
        "device": device,
        "word_error_rate": round(errors, 4),
        "latency_ms": {
            name: {f"p{percent}": round(value, 1) for percent, value in values.items()}
            for name, values in steps.items()
        },
        "sentences": [
            {
                "said": one.sentence.text,
                "heard": written(one.turn.text),
                "word_error_rate": round(one.errors.rate, 4),
                "entities_missing": list(one.missing),
                **{f"{name.replace(' ', '_')}_ms": round(_step(one, name), 1) for name in STEPS},
            }
            for one in measured
        ],
    }
