from __future__ import annotations

import asyncio
import os
import sys
import traceback
from pathlib import Path
from typing import TextIO

import pytest

from stackbench.cli import app, main
from stackbench.cli.streams import SteadyStream, displays_stream, open_standard_streams


def onto(path: str | Path, **how: str) -> TextIO:
    return open(path, "w", **how)  # noqa: PTH123


def closed_pipe() -> TextIO:
    reading, writing = os.pipe()
    os.close(reading)
    return open(writing, "w")  # noqa: PTH123


@pytest.mark.parametrize("broken", [closed_pipe, lambda: onto("/dev/full")], ids=["closed pipe", "full disk"])
def test_a_stream_that_fails_drops_what_comes(broken) -> None:
    stream = SteadyStream(broken())
    for _ in range(3):
        assert stream.write("x" * 100_000) == 100_000
        stream.writelines(["a", "b"])
        stream.flush()
        assert stream.buffer.write(b"yy") == 2
        stream.buffer.flush()
    assert stream.lost is not None
    stream.close()  # what was in the buffer goes nowhere, without an error


def test_a_stream_that_somebody_closed_drops_what_comes(tmp_path: Path) -> None:
    file = onto(tmp_path / "out")
    stream = SteadyStream(file)
    stream.write("before")
    file.close()
    stream.write("after")
    stream.flush()
    assert stream.lost is not None
    assert (tmp_path / "out").read_text() == "before"


def test_characters_that_an_encoding_has_not_are_escaped(tmp_path: Path) -> None:
    stream = SteadyStream(onto(tmp_path / "out", encoding="ascii"))
    stream.write("é\ud800\n")
    stream.close()
    assert (tmp_path / "out").read_text() == "\\xe9\\ud800\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("x"), 3), (SystemExit(1), 3), (SystemExit("words"), 3), (asyncio.CancelledError(), 3),
        (MemoryError(), 3), (RecursionError(), 3), (GeneratorExit(), 3), (ExceptionGroup("g", [OSError()]), 3),
        (BaseExceptionGroup("g", [asyncio.CancelledError()]), 3), (KeyboardInterrupt(), 130), (OSError(28, "full"), 3),
        (UnicodeEncodeError("ascii", "é", 0, 1, "x"), 3), (BrokenPipeError(), 0),
    ],
    ids=repr,
)  # fmt: skip
def test_no_fault_is_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], error: BaseException, code: int
) -> None:
    def fail(only: str | None = None) -> None:
        raise error

    monkeypatch.setattr(app, "build_app", fail)
    before = sys.stdout, sys.stderr
    with pytest.raises(SystemExit) as done:
        main(["runs"])
    assert done.value.code == code
    assert (sys.stdout, sys.stderr) == before
    said = capfd.readouterr().err
    assert said.count("\n") == (code != 0)
    assert "Traceback" not in said


def test_the_program_runs_twice_in_one_process(capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        with pytest.raises(SystemExit) as done:
            main(["eval", "nope", "-m", "oracle"])
        assert done.value.code == 2


def test_what_libraries_write_to_stderr_is_legible(capfd: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    open_standard_streams()
    try:
        traceback.print_exception(ValueError("w\x1b]0;owned\x07"))
        sys.stderr.writelines(["l\x9b31m", "p\u202e\x1b[2J\n"])
        sys.stderr.write("\r50%\r\n")
        displays_stream().write("\x1b[1mours\n")
        sys.stderr.flush()
    finally:
        sys.stdout, sys.stderr = before
    said = capfd.readouterr().err
    for part in ("w\\x1b]0;owned\\x07", "p\\u202e\\x1b[2J\n", "\r50%\r\n", "\x1b[1mours\n"):
        assert part in said
    assert "l\\x9b31m" in said
