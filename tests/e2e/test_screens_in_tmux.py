"""The screens in a real tmux: start a run, watch it, open an attempt, be killed, attach again, see it end."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stackbench.models.pull import is_pulled
from tests.conftest import MODELS, Program
from tests.fake_endpoint import FakeEndpoint
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.docker,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux"),
]


EMBEDDED = "qwen2.5-coder-0.5b-instruct"


class Tmux:
    """A tmux server of the test's own, with the program in its one window."""

    def __init__(self, program: Program, folder: Path) -> None:
        self._socket = str(folder / "tmux.sock")
        self._program = program

    def start(self, *arguments: str) -> None:
        command = self._program.command(*arguments)
        environment = {**self._program.environment, "TERM": "xterm-256color"}
        subprocess.run(
            ["tmux", "-S", self._socket, "-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "40", *command],
            env=environment, cwd=self._program.home.path, check=True,
        )  # fmt: skip

    def send(self, *keys: str) -> None:
        self._run("send-keys", *keys)

    def type(self, text: str) -> None:
        self._run("send-keys", "-l", text)

    def text(self) -> str:
        return self._run("capture-pane", "-p")

    @property
    def pid(self) -> int:
        return int(self._run("display-message", "-p", "#{pane_pid}"))

    def shows(self, *wanted: str, within_s: float = 120) -> str:
        try:
            wait_for(lambda: all(one in self.text() for one in wanted), within_s=within_s)
        except AssertionError:
            raise AssertionError(f"{wanted} in\n{self.text()}") from None
        return self.text()

    def stop(self) -> None:
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], capture_output=True, check=False)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(["tmux", "-S", self._socket, *arguments], capture_output=True, text=True, check=False)
        return done.stdout


@pytest.fixture
def tmux(program: Program, tmp_path: Path) -> Iterator[Tmux]:
    made = Tmux(program, tmp_path)
    yield made
    made.stop()


async def test_a_run_outlives_the_screens_that_started_it(tmux: Tmux, program: Program, endpoint: FakeEndpoint) -> None:
    endpoint.reply = lambda body: "```python\ndef nothing_of_use():\n    pass\n```"
    endpoint.delay_s = 0.4
    await asyncio.to_thread(drive, tmux, program, endpoint.name)


def drive(tmux: Tmux, program: Program, model: str) -> None:
    tmux.start()
    tmux.shows("Nothing has been run here yet")
    tmux.send("n")
    tmux.shows("[ ]  humaneval")
    tmux.send(*["Down"] * 5, "Space")  # past the suites
    tmux.shows("[x]  humaneval")
    for flag, value in (
        ("--model", model),
        ("--limit", "60"),
        ("--samples", ""),
        ("--seed", ""),
        ("--concurrency", "1"),
    ):
        tmux.send("Tab")
        tmux.shows(f" {flag}  ")  # the field is in focus
        tmux.type(value)
    command = f"stackbench eval humaneval -m {model} --limit 60 --concurrency 1"
    wait_for(lambda: command in " ".join(tmux.text().split()), within_s=120)  # folded where the home's path is long
    tmux.send("F5")
    tmux.shows("▶ running", "✗ failed")
    tmux.send("Enter")
    tmux.shows("[1] prompt", "[2] answer", "def nothing_of_use")
    engine = int(re.findall(r'"pid": (\d+)', program.home.lock.read_text())[0])
    os.kill(tmux.pid, signal.SIGKILL)
    wait_for(lambda: not tmux.text().strip(), within_s=20)
    os.kill(engine, 0)  # the engine lives
    tmux.start()
    tmux.shows("run 20", "▶ running")  # attaches to the live run
    tmux.send("+")
    tmux.shows("set concurrency: 1 -> 2")
    tmux.shows("✓ completed", "60/60")
    tmux.send("Escape")
    tmux.shows("> runs", "✓ completed")
    tmux.send("q")
    wait_for(lambda: not tmux.text().strip(), within_s=20)
    (run,) = program.query("SELECT status, model FROM runs")
    assert run == {"status": "completed", "model": model}
    (count,) = program.query("SELECT count(*) AS n FROM attempts WHERE status = 'completed'")
    assert count == {"n": 60}


@pytest.mark.model
@pytest.mark.timeout(1200)
@pytest.mark.xdist_group("model")
def test_a_slice_on_the_embedded_model_from_its_start_to_a_question_to_the_database(
    tmux: Tmux, program: Program
) -> None:
    pytest.importorskip("transformers", reason="needs the local extra")
    if not is_pulled(EMBEDDED, MODELS):
        pytest.skip("the embedded model is not on this machine")
    tmux.start()
    tmux.shows("Nothing has been run here yet")
    tmux.send("n")
    tmux.shows("[ ]  humaneval", "the embedded model")
    tmux.send(*["Down"] * 5, "Space")
    tmux.shows("[x]  humaneval")
    # 24 tokens are too few for an answer: at least one fails
    for flag, value in (("--model", ""), ("--limit", "4")):
        tmux.send("Tab")
        tmux.shows(f" {flag}  ")
        tmux.type(value)
    for flag in ("--samples", "--seed", "--concurrency", "--timeout", "--max-hours", "--temperature", "--max-tokens"):
        tmux.send("Tab")
        tmux.shows(f" {flag}  ")
    tmux.type("24")
    wait_for(lambda: "eval humaneval --limit 4 --max-tokens 24" in " ".join(tmux.text().split()), within_s=60)
    tmux.send("F5")
    tmux.shows("run 20", "humaneval", within_s=300)
    os.kill(tmux.pid, signal.SIGKILL)
    wait_for(lambda: not tmux.text().strip(), within_s=20)
    tmux.start()
    tmux.shows("run 20", within_s=120)
    tmux.shows("✓ completed", "4/4", "✗ ", within_s=900)
    tmux.send("f")
    tmux.shows("not passed")
    tmux.send("Enter")
    tmux.shows("[1] prompt", "[2] answer", "an answer ended at its token limit")
    tmux.type(":")
    tmux.shows("a screen, a run's name or the start of its id")
    tmux.type("sql")
    tmux.send("Enter")
    tmux.shows("f5 runs the statement")
    tmux.send("F5")
    tmux.shows("1 row", "humaneval")


async def test_a_chat_with_an_agent_is_steered_and_outlives_the_screens(
    tmux: Tmux, program: Program, endpoint: FakeEndpoint
) -> None:
    def speaks(body: dict[str, Any]) -> str | list[tuple[str, str]]:
        last = body.get("messages", [{"role": "user", "content": ""}])[-1]
        if last["role"] == "user" and last["content"].startswith("run "):
            return [("exec", json.dumps({"command": last["content"].removeprefix("run ")}))]
        return f"I heard: {last['content']}"

    endpoint.reply, endpoint.pieces = speaks, lambda text: [text]
    settings = f'model = "{endpoint.name}"\napprove-calls = "risky"\n'
    (program.home.path / "stackbench.toml").write_text(settings)
    await asyncio.to_thread(talk, tmux, program)


def talk(tmux: Tmux, program: Program) -> None:
    tmux.start()
    tmux.shows("Nothing has been run here yet")
    tmux.type(":")
    tmux.shows("a screen, a run's name or the start of its id")
    tmux.type("agents")
    tmux.shows(": agents")
    tmux.send("Enter")
    tmux.shows("no agent is at work: n begins a chat")
    tmux.send("n")
    tmux.shows("A chat with which model?", "as configured")
    tmux.send("Enter")
    tmux.shows("chat  0 turns", "calls wait: risky")  # what lasts; a line at the corner goes after seconds
    tmux.type("good morning")
    tmux.send("Enter")
    tmux.shows("I heard: good morning", "listens")
    tmux.type("run echo one > made.txt; cat made.txt")
    tmux.send("Enter")
    tmux.shows("call 1 waits for you: exec", "may change something")
    tmux.send("Escape")  # out of the line of the message
    tmux.shows("a Approve")
    tmux.send("a")
    tmux.shows("operator approved exec", "I heard: one")
    tmux.send("2")
    tmux.shows("/workspace", "made.txt")
    tmux.send("Enter")
    tmux.shows("made.txt   4 bytes")
    tmux.send("3")
    tmux.type("wc -c made.txt")
    tmux.send("Enter")
    tmux.shows("4 made.txt")
    engine = int(re.findall(r'"pid": (\d+)', program.home.lock.read_text())[0])
    os.kill(tmux.pid, signal.SIGKILL)
    wait_for(lambda: not tmux.text().strip(), within_s=20)
    os.kill(engine, 0)  # the engine lives, and the chat with it
    asked = program.run("ctl", "transcript", "--content", "--json")
    assert "operator" in [step["kind"] for step in json.loads(asked.stdout)["steps"]]
    tmux.start()
    tmux.shows("run 20", "▶ running")
    tmux.send("a")
    tmux.shows("I heard: one", "operator ran in the sandbox (exit code 0)", "wc -c made.txt")
    tmux.send("X")
    tmux.shows("End this chat?")
    tmux.send("y")
    tmux.shows("■ ended")
    wait_for(lambda: program.query("SELECT status FROM runs") == [{"status": "completed"}], within_s=60)
    (attempt,) = program.query("SELECT reason, completion FROM attempts")
    assert attempt == {"reason": "ended by the operator", "completion": "I heard: one"}
