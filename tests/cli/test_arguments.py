from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import typer

from stackbench.cli.app import build_app, root
from stackbench.cli.arguments import LATEST, take_debug, with_optional_values
from tests.command_line import said_by


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("--batch", "batch"),
        ("--batch smoke", "batch smoke"),
        ("--batch=smoke -m oracle", "batch smoke -m oracle"),
        ("--batch -m oracle", "batch -m oracle"),
        ("-m oracle --batch smoke", "batch -m oracle smoke"),
        ("--web", "web"),
        ("--port 0 --web", "web --port 0"),
        ("--batch --resume", f"batch --resume {LATEST}"),
        ("eval --resume", f"eval --resume {LATEST}"),
        ("eval --resume --json", f"eval --resume {LATEST} --json"),
        ("eval humaneval --resume --json", f"eval humaneval --resume {LATEST} --json"),
        ("eval --resume humaneval", f"eval --resume {LATEST} humaneval"),
        ("eval --resume 20260101-120000-abc123", "eval --resume 20260101-120000-abc123"),
        ("eval --resume 20260101", "eval --resume 20260101"),
        ("eval --resume=20260101", "eval --resume=20260101"),
        ("eval humaneval -m oracle", "eval humaneval -m oracle"),
        ("", ""),
    ],
)
def test_values_that_may_be_left_out(given: str, read: str) -> None:
    assert with_optional_values(given.split()) == read.split()


def test_debug_is_taken_anywhere_but_not_after_two_dashes() -> None:
    assert take_debug(["eval", "--debug", "x"]) == (["eval", "x"], True)
    assert take_debug(["query", "--", "--debug"]) == (["query", "--", "--debug"], False)


def test_a_home_without_a_command_is_that_of_the_screens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    opened: list[Path | None] = []

    def open_screens(home: Path | None, run: str | None) -> int:
        opened.append(home)
        return 0

    monkeypatch.setattr("stackbench.cli.screens.open_screens", open_screens)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with contextlib.suppress(typer.Exit):
        root(typer.Context(typer.main.get_command(build_app())), home=tmp_path)
    assert opened == [tmp_path]


def test_without_a_terminal_a_home_without_a_command_gets_the_help(tmp_path: Path) -> None:
    code, out, err = said_by("--home", str(tmp_path))
    assert (code, err) == (0, "") and out.startswith("Usage: stackbench")


def test_a_home_before_a_command_is_told_where_it_stands(tmp_path: Path) -> None:
    code, out, err = said_by("--home", "a b", "runs", folder=tmp_path)
    assert (code, out) == (2, "")
    assert err == "stackbench: error: --home stands behind the command: stackbench runs --home 'a b'\n"
