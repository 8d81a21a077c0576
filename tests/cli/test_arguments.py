from __future__ import annotations

import pytest

from stackbench.cli.arguments import LATEST, take_debug, with_optional_values


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
