from __future__ import annotations

import contextlib
import io
from typing import Any

import pytest

from stackbench.benchmarks.extract import LONGEST_ANSWER, cut_at, extract_program
from tests.benchmarks.answer_shapes import CODE, CONTINUING, FENCED, HEADER, NOT_RIGHT, RIGHT


def solves(program: str) -> bool:
    """Whether a program (one of this project's own) defines the mean; what it prints is not shown."""
    space: dict[str, Any] = {"__name__": "answer"}
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(program, "answer", "exec", dont_inherit=True), space)  # noqa: S102
            return space["mean"]([1, 2, 6]) == 3 and space["mean"]([4.0]) == 4
    except (Exception, SystemExit):
        return False


@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("header", ["", HEADER], ids=["alone", "behind the header"])
@pytest.mark.parametrize("shape", RIGHT)
def test_right_answers_are_read_in_whatever_shape(shape: str, header: str) -> None:
    assert solves(extract_program(RIGHT[shape], ["mean"], header))


@pytest.mark.parametrize("shape", CONTINUING)
def test_answers_that_continue_the_header_are_read(shape: str) -> None:
    program = extract_program(CONTINUING[shape], ["mean"], HEADER)
    assert program.startswith(HEADER)
    assert solves(program)


@pytest.mark.parametrize("header", ["", HEADER], ids=["alone", "behind the header"])
@pytest.mark.parametrize("shape", NOT_RIGHT)
def test_what_is_no_right_answer_is_not_made_one(shape: str, header: str) -> None:
    assert not solves(extract_program(NOT_RIGHT[shape], ["mean"], header))
