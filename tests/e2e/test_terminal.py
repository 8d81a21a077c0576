"""Streams that go, signals, and text that a terminal would obey: the real program."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import pty
import resource
import signal
import subprocess
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Program
from tests.fake_endpoint import FakeEndpoint
from tests.waiting import wait_for

pytestmark = pytest.mark.e2e

EVAL = ("eval", "gsm8k", "-m", "oracle", "--limit", "5")


def broken_pipe() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def full_disk() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def lost_terminal() -> int:
    """A terminal whose other side has gone: every write is an input/output error."""
    master, slave = pty.openpty()
    os.close(master)
    return slave


def code_of(program: Program, arguments: tuple[str, ...], redirect: str = "", **streams: Any) -> tuple[int, str]:
    """The exit code, and what came on stderr where that is a pipe."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirect}', "sh", *program.command(*arguments)],
        **{"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, **streams},
        stdin=subprocess.DEVNULL, env=program.environment, cwd=program.home.path, timeout=120, check=False,
    )  # fmt: skip
    return done.returncode, (done.stderr or b"").decode()


@pytest.mark.parametrize("broken", [broken_pipe, full_disk, lost_terminal])
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_run_goes_on_without_its_reader(program: Program, broken: Any, name: str) -> None:
    stream = broken()
    try:
        code, said = code_of(program, EVAL, **{name: stream})
    finally:
        os.close(stream)
    missing = name == "stdout" and broken is full_disk  # results are not where they were to be
    assert code == (3 if missing else 0), said
    assert ("standard output cannot be written: No space left on device" in said) is missing
    assert "Traceback" not in said
    (run,) = program.json("runs")
    assert (run["status"], run["results"][0]["attempts"]) == ("completed", 5)


@pytest.mark.parametrize("redirect", ["2>&-", ">&-", "<&-", ">&- 2>&- <&-"])
def test_a_run_needs_no_open_stream(program: Program, redirect: str) -> None:
    code, said = code_of(program, EVAL, redirect)
    assert (code, "Traceback" in said) == (0, False)
    assert [run["status"] for run in program.json("runs")] == ["completed"]


@pytest.mark.parametrize("redirect", ["2>&-", ">&-", "2>/dev/full"])
def test_the_exit_code_of_a_gate_needs_no_reader(program: Program, tmp_path: Path, redirect: str) -> None:
    suite = tmp_path / "gated.toml"
    gate = '[[gates]]\nname = "g"\nbenchmark = "gsm8k"\nmetric = "exact_match_strict"\nthreshold = 0.5\n'
    suite.write_text(f'[[benchmarks]]\nname = "gsm8k"\nlimit = 2\n{gate}')
    assert code_of(program, ("--batch", str(suite), "-m", "null"), redirect)[0] == 1
    assert code_of(program, ("--batch", str(suite), "-m", "oracle"), redirect)[0] == 0
    assert code_of(program, ("eval", "nope"), redirect)[0] == 2


def test_history_ends_quietly_with_its_reader(program: Program) -> None:
    assert code_of(program, EVAL)[0] == 0
    for arguments in (
        ("runs",), ("show", "last"), ("show", "last", "gsm8k/1"), ("runs", "--json"), ("list", "models"), ("--help",),
        ("query", "SELECT * FROM attempts, range(100000)", "--format", "csv"),
        ("query", "SELECT * FROM attempts, range(100000)", "--format", "json"),
        ("query", "SELECT * FROM attempts"),
    ):  # fmt: skip
        stream = broken_pipe()
        try:
            assert code_of(program, arguments, stdout=stream) == (0, ""), arguments
        finally:
            os.close(stream)
        stream = full_disk()
        try:
            code, said = code_of(program, arguments, stdout=stream)
        finally:
            os.close(stream)
        assert (code, said.count("\n"), "No space left" in said) == (3, 1, True), arguments


def start_on_terminal(program: Program, *arguments: str) -> tuple[subprocess.Popen[bytes], int]:
    """The program on a terminal of its own, and the terminal's other side."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        program.command(*arguments, "--concurrency", "2"),
        stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, env=program.environment, cwd=program.home.path,
    )  # fmt: skip
    os.close(slave)
    return process, master


async def test_a_run_outlives_the_terminal_that_shows_it(program: Program, endpoint: FakeEndpoint) -> None:
    """The live display's terminal closes in the middle of the run, with the signal that this sends."""
    endpoint.delay_s = 0.05
    process, master = start_on_terminal(program, "eval", "gsm8k", "-m", endpoint.name, "--limit", "40")
    try:
        while len(endpoint.requests) < 5:
            await asyncio.sleep(0.02)
            assert process.poll() is None
        os.close(master)
        process.send_signal(signal.SIGHUP)
        assert await asyncio.to_thread(process.wait, 60) == 0
    finally:
        process.kill()
    (run,) = await asyncio.to_thread(program.json, "runs")
    assert (run["status"], run["results"][0]["attempts"]) == ("completed", 40)


HOSTILE = "\x1b[31mred\x1b[0m \x1b]0;owned\x07 \x1b]52;c;ZQ==\x07 \x9b31m \u202egnp\u202c \u200b \r :fire: [b]x[/b]"


def hidden(text: str) -> set[str]:
    return {c for c in text if c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}


async def test_no_text_of_others_reaches_the_terminal_as_it_is(
    program: Program, endpoint: FakeEndpoint, tmp_path: Path
) -> None:
    endpoint.model = f"m{HOSTILE}"
    endpoint.reply = lambda body: f"{HOSTILE}\n#### 18"
    runs = []
    for _ in range(2):
        done = await program.run_beside("eval", "gsm8k", "-m", endpoint.name, "--limit", "2")
        assert done.returncode == 0, done.stderr
        assert hidden(done.stderr) == hidden(done.stdout) == set()
        assert "\\x1b[31mred" in done.stderr
        runs.append((await asyncio.to_thread(program.json, "runs"))[0]["run_id"])
    hostile_file = tmp_path / f"s{HOSTILE.replace('/', '')}.jsonl"
    for arguments in (
        ("runs",), ("show", runs[0]), ("show", runs[0], "gsm8k/0"), ("compare", *runs), (f"c{HOSTILE}",),
        ("query", "SELECT model, completion, thought FROM runs JOIN attempts USING (run_id)"),
        ("query", f"SELECT '{HOSTILE}' AS \"{HOSTILE}\""), ("query", f"SELEC {HOSTILE}"),
        ("query", f"FROM \"{HOSTILE}\""),
        ("query", "SELECT completion FROM attempts", "--format", "json"), ("show", HOSTILE), ("eval", HOSTILE),
        ("score", str(hostile_file), "-b", "humaneval"), ("--batch", f"{HOSTILE}.toml"),
        ("eval", "gsm8k", "-T", HOSTILE),
        ("--debug", "eval", HOSTILE), ("export", HOSTILE, "--to", str(tmp_path)), ("models", "pull", HOSTILE),
    ):  # fmt: skip
        done = await program.run_beside(*arguments)
        assert hidden(done.stdout) == hidden(done.stderr) == set(), (arguments, ascii(done.stdout + done.stderr))
        assert "Traceback" not in done.stderr or arguments[0] == "--debug"
    shown = (await program.run_beside("show", runs[0], "gsm8k/0")).stdout
    assert "\\x1b[31mred\\x1b[0m \\x1b]0;owned\\x07" in shown
    assert "\\u202egnp\\u202c \\u200b \\r :fire: [b]x[/b]" in shown
    query = ("query", "SELECT completion FROM attempts LIMIT 1", "--format", "json")
    assert json.loads((await program.run_beside(*query)).stdout)[0]["completion"] == f"{HOSTILE}\n#### 18"


async def test_words_of_a_server_are_shown_not_obeyed(program: Program, endpoint: FakeEndpoint) -> None:
    endpoint.fault_text = HOSTILE
    endpoint.faults.extend([400] * 50)
    done = await program.run_beside("eval", "gsm8k", "-m", endpoint.name, "--limit", "3", "--retries", "0")
    assert done.returncode == 3, done.stderr
    assert hidden(done.stderr) == hidden(done.stdout) == set()
    assert "\\x1b[31mred" in done.stderr


@pytest.mark.parametrize("kind", ["one line", "blank lines", "open arrays"])
def test_a_packed_file_that_unpacks_without_end_is_one_clear_line(program: Program, tmp_path: Path, kind: str) -> None:
    """Each holds a GiB or more; the program has 4 GiB of addresses, as its libraries need two."""
    piece = {"one line": bytes(1 << 24), "blank lines": b"\n" * (1 << 24), "open arrays": b"[" * (1 << 24)}[kind]
    bomb = tmp_path / "s.jsonl.gz"
    bomb.write_bytes(gzip.compress(piece, 1) * 80)
    limit = (4 << 30, 4 << 30)
    for arguments in (
        ("score", str(bomb), "-b", "humaneval"),
        ("eval", "gsm8k", "-m", f"replay:{bomb}", "--limit", "1"),
    ):
        done = subprocess.run(
            program.command(*arguments), env=program.environment, cwd=program.home.path, capture_output=True, text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit), timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 2, done.stderr
        said = done.stderr.splitlines()
        assert "s.jsonl.gz" in said[-1] and ("is longer than" in said[-1] or "has more than" in said[-1])
        assert "Traceback" not in done.stderr


def test_a_query_ends_with_ctrl_c(program: Program) -> None:
    assert code_of(program, EVAL)[0] == 0
    endless = "SELECT count(*) FROM range(1000000000) a, range(1000) b WHERE (a.range + b.range) % 7 = 3"
    process = program.start("query", endless)
    try:
        wait_for(lambda: list(program.home.path.glob("stackbench.duckdb.tmp/result-*")), within_s=60)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, "Traceback" in said) == (130, False)
    assert list(program.home.path.glob("stackbench.duckdb.tmp/result-*")) == []


async def test_ctrl_c_is_answered_at_once_and_the_way_on_is_always_said(
    program: Program, endpoint: FakeEndpoint
) -> None:
    """The first is answered while attempts are under way, the second leaves, and both say how to go on."""
    endpoint.faults.extend(["slow"] * 100)
    for signals in (
        (signal.SIGINT,),
        (signal.SIGINT, signal.SIGINT),
        (signal.SIGTERM,),
        (signal.SIGTERM, signal.SIGINT),
    ):
        endpoint.requests.clear()
        process = program.start("eval", "gsm8k", "-m", endpoint.name, "--limit", "20", "--concurrency", "3")
        try:
            await asyncio.to_thread(wait_for, lambda: len(endpoint.requests) >= 3, within_s=60)
            said: list[str] = []
            for number in signals:
                process.send_signal(number)
                if not said:
                    assert process.stderr is not None
                    while not said or "Ctrl-C again" not in said[-1]:
                        said.append(await asyncio.to_thread(process.stderr.readline))
                        assert said[-1], said
            _, rest = await asyncio.to_thread(process.communicate, timeout=60)
        finally:
            process.kill()
        assert process.returncode == 130, rest
        assert said[-1] == "stopping, 3 under way; Ctrl-C again to leave\n"
        (run,) = await asyncio.to_thread(program.json, "runs", "--limit", "1")
        assert rest.splitlines()[-1] == f"to go on: stackbench eval --resume {run['run_id']}"
