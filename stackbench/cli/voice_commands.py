"""Commands of voice. Bodies load what does the work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stackbench.cli.options import HomeOption, JsonOption

__all__ = ["VOICE"]

RecognizerOption = Annotated[
    str,
    typer.Option("--recognizer", "-r", metavar="NAME", help="whisper-base, whisper-tiny.en or a folder."),
]
LanguageOption = Annotated[str, typer.Option("--language", metavar="CODE", help="What is spoken.")]
DeviceOption = Annotated[
    str | None,
    typer.Option("--device", metavar="NAME", help="A microphone's name, a part of it, or its number [the default]."),
]
SilenceOption = Annotated[
    float, typer.Option("--silence", metavar="SECONDS", help="Silence that ends a turn.", min=0.2, max=5.0)
]


def devices(as_json: JsonOption = False) -> None:
    """Microphones of this machine."""
    from stackbench.cli import voice

    voice.devices(as_json=as_json)


def listen(
    device: DeviceOption = None,
    recognizer: RecognizerOption = "whisper-base",
    language: LanguageOption = "en",
    silence: SilenceOption = 0.5,
    push_to_talk: Annotated[
        bool, typer.Option("--push-to-talk", help="Enter begins a turn and ends it [open microphone].")
    ] = False,
    barge_in: Annotated[
        bool, typer.Option("--barge-in/--no-barge-in", help="Listen also while something is carried out.")
    ] = True,
    keep_audio: Annotated[
        bool, typer.Option("--keep-audio", help="Keep the sound of each turn in the home [only its text].")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON on standard output for each turn.")] = False,
    home: HomeOption = None,
) -> int:
    """Operate the home's engine by speech; Ctrl-C ends it."""
    from stackbench.cli import voice

    return voice.listen(
        home,
        device=device,
        recognizer=recognizer,
        language=language,
        silence_s=silence,
        push_to_talk=push_to_talk,
        barge_in=barge_in,
        keep_audio=keep_audio,
        as_json=as_json,
    )


def transcribe(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="WAV, FLAC, OGG/Opus, MP3 or AIFF, of any length.")
    ],
    recognizer: RecognizerOption = "whisper-base",
    language: LanguageOption = "en",
    silence: SilenceOption = 1.0,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Recordings as text, turn by turn."""
    from stackbench.cli import voice

    voice.transcribe(home, files, recognizer=recognizer, language=language, silence_s=silence, as_json=as_json)


def bench(
    live: Annotated[bool, typer.Option("--live", help="Prompts sentences that you speak.")] = False,
    sentences: Annotated[int, typer.Option("--sentences", metavar="N", help="How many.", min=1, max=144)] = 10,
    device: DeviceOption = None,
    recognizer: RecognizerOption = "whisper-base",
    silence: SilenceOption = 0.5,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Write the latencies as a picture, .png.")
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> int:
    """Latency and errors of your own voice and microphone, sentence by sentence."""
    from stackbench.cli import voice_bench

    return voice_bench.bench(
        home,
        live=live,
        count=sentences,
        device=device,
        recognizer=recognizer,
        silence_s=silence,
        plot=plot,
        as_json=as_json,
    )


VOICE = {"devices": devices, "listen": listen, "transcribe": transcribe, "bench": bench}
"""The commands of the group `voice`."""
