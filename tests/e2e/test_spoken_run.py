"""A run operated by speech: through PulseAudio's virtual microphone, sounddevice, real weights and a live engine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile

from stackbench.voice.audio import RATE
from stackbench.voice.audio_file import read_samples
from tests.conftest import Program
from tests.fake_endpoint import FakeEndpoint
from tests.waiting import wait_for

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
CLIPS = ROOT / "audio_fixtures" / "clips"
SCRIPT = ROOT / "scripts" / "virtual-mic"


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment in which a virtual microphone is the default one."""
    folder = tmp_path_factory.mktemp("mic")
    environment = {"STACKBENCH_MIC_DIR": str(folder)}
    done = subprocess.run([SCRIPT, "start"], env=os.environ | environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"PulseAudio cannot be had: {done.stderr.strip()}")
    yield {"XDG_RUNTIME_DIR": str(folder)}
    subprocess.run([SCRIPT, "stop"], env=os.environ | environment, capture_output=True, check=False)


class Listener:
    """`stackbench voice listen` in a process of its own, and what it has printed."""

    def __init__(self, program: Program, microphone: dict[str, str], cwd: Path, *options: str) -> None:
        self.microphone = microphone
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            program.command("voice", "listen", *options),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=cwd,
            env=program.environment | microphone | {"PYTHONUNBUFFERED": "1"},
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    async def hears(self, text: str, within_s: float = 60) -> str:
        """The next line with that text."""

        def look() -> str | None:
            assert self.process.poll() is None, self.lines
            return next((line for line in self.lines if text in line), None)

        try:
            found = await asyncio.to_thread(wait_for, look, within_s=within_s)
        except AssertionError as error:
            raise AssertionError(f'no line with "{text}" in {within_s} s: {self.lines}') from error
        self.lines.remove(found)
        return found

    async def say(self, clip: Path) -> None:
        await asyncio.to_thread(
            subprocess.run, ["paplay", "--device=vmic", clip], env=os.environ | self.microphone, check=True
        )


@pytest.fixture
def listening(program: Program, microphone: dict[str, str], whisper_weights: Callable[[str], Path]) -> Iterator[Any]:
    started: list[Listener] = []
    weights = whisper_weights("whisper-base")

    def start(cwd: Path, *options: str) -> Listener:
        made = Listener(program, microphone, cwd, "--recognizer", str(weights), *options)
        started.append(made)
        return made

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()
        assert one.process.stdout is not None
        one.process.stdout.close()


@pytest.fixture
def spoken(tmp_path: Path, microphone: dict[str, str]) -> Callable[[str], Path]:
    """A word in a clear voice."""

    def make(text: str) -> Path:
        path = tmp_path / f"{text}.wav"
        subprocess.run(["flite", "-voice", "rms", "-t", text, "-o", path], check=True)
        return path

    return make


@pytest.mark.docker
@pytest.mark.model
async def test_a_run_is_started_paused_and_stopped_by_speech(
    program: Program, endpoint: FakeEndpoint, listening: Any, spoken: Callable[[str], Path], tmp_path: Path
) -> None:
    held = asyncio.Event()
    endpoint.before_answer = held.wait
    (tmp_path / "stackbench.toml").write_text(f'model = "openai:{endpoint.model}@{endpoint.url}"\nconcurrency = 2\n')
    listener = listening(tmp_path, "--keep-audio")
    await listener.hears("listening to")

    await listener.say(CLIPS / "command-01.flac")
    line = await listener.hears("started run")
    run_id = line.split("started run ")[1].split(":")[0]
    assert "humaneval 10 tasks" in line

    async def status() -> dict[str, Any]:
        done = await program.run_beside("ctl", "status", "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    await asyncio.to_thread(wait_for, lambda: len(endpoint.requests) >= 2, within_s=90)
    assert (await status())["benchmarks"][0]["total"] == 10

    await listener.say(spoken("pause the run"))
    assert "pause: running -> paused" in await listener.hears("pause:")
    assert (await status())["phase"] == "paused"

    await listener.say(CLIPS / "command-06.flac")
    assert 'stop? say "confirm"' in await listener.hears("stop?")
    assert (await status())["phase"] == "paused"  # nothing was done yet

    await listener.say(spoken("yes, do it"))
    assert "stop: paused -> stopping" in await listener.hears("stop:")
    held.set()

    def over() -> bool:
        done = program.run("runs", "--json")  # refused for a moment, while the engine closes its database
        return (
            done.returncode == 0
            and {run["run_id"]: run["status"] for run in json.loads(done.stdout)}.get(run_id) == "interrupted"
        )

    await asyncio.to_thread(wait_for, over, within_s=60)
    turns = await asyncio.to_thread(
        program.query,
        "SELECT payload->>'became' AS became, payload->>'audio' AS audio FROM events WHERE kind = 'voice' ORDER BY seq",
    )
    became = [turn["became"] for turn in turns]
    assert became[0].startswith(f"started run {run_id}") and became[1].startswith("pause: running -> paused")
    assert len(became) >= 3
    kept = [Path(turn["audio"]) for turn in turns]
    assert all(path.is_file() and path.stat().st_mode & 0o077 == 0 for path in kept)
    assert all(len(read_samples(path)) > RATE / 2 for path in kept)

    listener.process.send_signal(signal.SIGINT)
    assert await asyncio.to_thread(listener.process.wait, 30) == 0


@pytest.mark.model
async def test_a_microphone_that_goes_and_comes_back_is_listened_to_again(
    program: Program, microphone: dict[str, str], listening: Any, tmp_path: Path
) -> None:
    listener = listening(tmp_path)
    await listener.hears("listening to")
    environment = os.environ | microphone | {"STACKBENCH_MIC_DIR": microphone["XDG_RUNTIME_DIR"]}
    await asyncio.to_thread(subprocess.run, [SCRIPT, "stop"], env=environment, check=True)
    await listener.hears("sends nothing any more")
    await asyncio.to_thread(subprocess.run, [SCRIPT, "start"], env=environment, check=True, capture_output=True)
    await listener.hears("is back")
    await listener.say(CLIPS / "command-14.flac")
    assert "no engine serves" in await listener.hears("refused")


@pytest.mark.model
async def test_two_programs_hear_one_microphone_and_each_turn_is_a_line_of_json(
    program: Program, listening: Any, tmp_path: Path
) -> None:
    listeners = [listening(tmp_path, "--json"), listening(tmp_path, "--json", "--home", str(tmp_path / "other"))]
    for listener in listeners:
        await listener.hears("listening to")
    await listeners[0].say(CLIPS / "command-14.flac")
    for listener in listeners:
        turn = json.loads(await listener.hears('"became"'))
        assert turn["refused"] and "no engine serves" in turn["became"] and turn["intent"]["action"] == "verb"
        assert turn["text"] and turn["ts"] and set(turn["latency_ms"]) >= {"endpoint", "text", "carried_out"}
        assert turn["ts"] > turn["said_at"] and turn["audio"] is None
    third = listening(tmp_path)  # for the first one's home
    await asyncio.to_thread(third.process.wait, timeout=60)
    await asyncio.to_thread(
        wait_for,
        lambda: any(f"process {listeners[0].process.pid} listens for this home" in one for one in third.lines),
        within_s=10,
    )
    assert third.process.returncode == 2


@pytest.mark.model
async def test_prompted_sentences_are_measured_and_drawn(
    program: Program, microphone: dict[str, str], whisper_weights: Callable[[str], Path], tmp_path: Path
) -> None:
    options = ["--live", "--sentences", "2", "--plot", str(tmp_path / "latency.png"), "--json"]
    process = await asyncio.create_subprocess_exec(
        *program.command("voice", "bench", *options, "--recognizer", str(whisper_weights("whisper-base"))),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=program.environment | microphone | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None and process.stderr is not None
    try:
        for clip in ("command-01", "tool-01"):
            async with asyncio.timeout(60):
                while b"say: " not in await process.stderr.readline():
                    pass
            command = ["paplay", "--device=vmic", CLIPS / f"{clip}.flac"]
            await asyncio.to_thread(subprocess.run, command, env=os.environ | microphone, check=True)
        async with asyncio.timeout(60):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    document = json.loads(out)
    assert process.returncode == 0 and len(document["sentences"]) == 2
    assert document["sentences"][0]["entities_missing"] == []
    assert document["word_error_rate"] < 0.5
    assert 400 < document["latency_ms"]["endpoint"]["p50"] < 700
    assert (tmp_path / "latency.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.model
def test_a_long_recording_is_transcribed_turn_by_turn(
    program: Program, whisper_weights: Callable[[str], Path], tmp_path: Path
) -> None:
    path = tmp_path / "long.flac"
    clip = read_samples(CLIPS / "command-15.flac")
    with soundfile.SoundFile(path, "w", RATE, 1, subtype="PCM_16") as file:
        for _ in range(20):
            file.write(clip)
            file.write([0.0] * (RATE * 20))
    weights = str(whisper_weights("whisper-tiny.en"))
    (document,) = program.json("voice", "transcribe", str(path), "--recognizer", weights)
    assert document["seconds"] == pytest.approx(20 * (20 + len(clip) / RATE), abs=0.1)
    assert len(document["turns"]) == 20
    assert document["real_time_factor"] < 0.5


@pytest.mark.docker
@pytest.mark.model
def test_spoken_requests_are_recognised_carried_out_and_scored_beside_typed_ones(
    program: Program, whisper_weights: Callable[[str], Path]
) -> None:
    weights = str(whisper_weights("whisper-tiny.en"))
    options = ["-T", f"recognizer={weights}", "-T", "conditions=clean,snr10"]
    ids = "coding-02@clean,tool-06@clean,command-15@clean,command-15@snr10"
    outcome = program.json("eval", "voice", "-m", "oracle", *options, "--sample-ids", ids)
    (result,) = outcome["results"]
    assert (result["attempts"], result["errors"]) == (4, 0)
    rows = program.query("SELECT category, name, value FROM metrics WHERE benchmark = 'voice'")
    found = {(row["category"], row["name"]): row["value"] for row in rows}
    assert found["", "pooled_typed_pass_rate"] == 1.0
    assert found["clean", "command_accuracy"] == 1.0 and found["clean", "wer"] < 0.3
    assert 400 < found["clean", "endpoint_ms_p50"] < 700
    assert found["clean", "endpoint_ms_p50"] < found["clean", "executed_ms_p50"]
    events = program.query("SELECT payload->>'heard' AS heard FROM events WHERE kind = 'voice'")
    assert len(events) == 4 and all(event["heard"] for event in events)
