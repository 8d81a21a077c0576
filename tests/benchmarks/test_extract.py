from __future__ import annotations

import contextlib
import io
import sys
from typing import Any

import pytest

from stackbench.benchmarks.extract import LONGEST_ANSWER, cut_at, extract_program, read_program
from tests.benchmarks.answer_shapes import CODE, CONTINUING, FENCED, HEADER, NOT_RIGHT, RIGHT
from tests.counting import work_of


def solves(program: str) -> bool:
    """Whether a program (one of this project's own) defines the mean; what it prints is not shown."""
    space: dict[str, Any] = {"__name__": "answer"}
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(program, "answer", "exec", dont_inherit=True), space)
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


def test_only_what_the_function_needs_is_kept() -> None:
    answer = (
        "```python\nimport os, math\nfrom collections import Counter\nLIMIT = 3\nOTHER = input()\n\n"
        "def half(x):\n    return math.floor(x / LIMIT)\n\ndef unused():\n    return OTHER\n\n"
        "def mean(values):\n    return half(sum(values))\n\nassert mean([3]) == 1\nprint(mean([1]))\n```"
    )
    assert extract_program(answer, ["mean"]) == (
        "import os, math\nfrom collections import Counter\nLIMIT = 3\ndef half(x):\n    return math.floor(x / LIMIT)\n"
        "def mean(values):\n    return half(sum(values))\n"
    )


def test_what_a_function_calls_its_own_needs_nothing_of_the_module() -> None:
    code = "values = input()\ntotal = input()\ndef mean(values):\n    total = sum(values)\n    return total\n"
    assert "input" not in extract_program(f"```python\n{code}```", ["mean"])


def test_imports_from_the_future_stand_before_the_header() -> None:
    program = extract_program(f"```python\nfrom __future__ import annotations\n{CODE}```", ["mean"], HEADER)
    assert program.startswith(f"from __future__ import annotations\n{HEADER}")
    compile(program, "answer", "exec", dont_inherit=True)


def test_a_class_that_the_tests_call_beside_the_function_is_kept() -> None:
    answer = "```python\nclass Pair:\n    pass\n```\n```python\ndef chain(pairs):\n    return len(pairs)\n```"
    program = extract_program(answer, ["chain", "Pair"])
    assert "class Pair" in program
    assert "class Pair" not in extract_program(answer, ["chain"])


def test_the_last_block_that_defines_the_function_wins_over_longer_ones() -> None:
    longer = "def mean(values):\n    total = 0\n    for v in values:\n        total += v\n    return total\n"
    assert "total" not in extract_program(f"```python\n{longer}```\nBetter:\n{FENCED}", ["mean"])
    assert "total" in extract_program(f"{FENCED}\nOr rather:\n```python\n{longer}```", ["mean"])


def test_an_answer_without_a_program_is_run_as_it_is_so_that_it_fails() -> None:
    assert extract_program("I cannot help.", ["mean"]) == "I cannot help."
    assert extract_program("", ["mean"], HEADER) == HEADER
    assert extract_program("```python\nx = 1\n```", ["mean"]) == "x = 1"


@pytest.mark.parametrize(
    "expression",
    [
        "[" * 500, "[" * 150 + "]" * 150, "-" * 9000 + "1", "not " * 5000 + "x", "(" * 900, "lambda: " * 2000 + "1",
        "2 ** " * 5000 + "2", "1" + "+1" * 5000, "x" + ".y" * 5000, "f" + "()" * 5000, "9" * 9000,
        "1 if 1 else " * 2000 + "1", "f'{" * 60 + "1" + "}'" * 60, "'\\ud800'", "\ud800", "'" + "\\N{" * 500,
    ],
    ids=range(16),
)  # fmt: skip
@pytest.mark.parametrize("fenced", [True, False])
def test_expressions_that_no_parser_takes_raise_nothing(expression: str, fenced: bool) -> None:
    code = f"def mean(values):\n    return {expression}\n"
    program = extract_program(f"```python\n{code}```" if fenced else code, ["mean"], HEADER)
    assert isinstance(program, str)
    assert solves(extract_program(f"```python\n{code}```\nRather:\n{FENCED}", ["mean"]))


def test_an_answer_is_read_up_to_a_length() -> None:
    long = "x" * LONGEST_ANSWER
    assert solves(extract_program(f"{FENCED}\n{long}", ["mean"]))
    assert len(extract_program(long + long, ["mean"])) == LONGEST_ANSWER
    assert not solves(extract_program(f"{long}\n{FENCED}", ["mean"]))


async def test_long_answers_are_read_beside_the_event_loop() -> None:
    assert solves(await read_program(FENCED, ["mean"]))
    assert solves(await read_program(f"{FENCED}\n{'words ' * 5000}", ["mean"]))


@pytest.mark.parametrize(
    "unit",
    [
        "```\n", "```python\n", "~~~\n", "def mean(\n", "def mean(v):\n  '''\n", "@\n", "class A:\n", ">>> x\n", "> ",
        "<",
        "'''", "if (\n", "x = (\n", "- ```\n", "import os\n", " ", "(", "\\", "<a b ", "It's (so.\n", "x=1;",
        "@f\ndef f(x):\n T[x]=1\nf()\n", "1 x\n", '"f(",', "&lt;think ", "def f(x):\n eval(x)\nf()\n",
    ],
)  # fmt: skip
def test_the_work_of_reading_grows_no_faster_than_the_answer(unit: str) -> None:
    few, many = (work_of(lambda n=n: extract_program(unit * n, ["mean"], HEADER)) for n in (100, 400))
    assert many < 6 * few + 20_000


def test_the_work_of_following_functions_grows_no_faster_than_the_answer() -> None:
    def chain(length: int) -> str:
        steps = "".join(f"def f{n}(x):\n    f{n + 1}(x)\nf{n}(1)\n" for n in range(length))
        return f"```python\n{steps}{CODE}```"

    few, many = (work_of(lambda n=n: extract_program(chain(n), ["mean"])) for n in (100, 400))
    assert many < 6 * few + 20_000


def test_a_broken_function_that_is_only_called_is_left_out() -> None:
    broken = "def main():\n    def inner():\n        nonlocal nowhere\n    inner()\nmain()\n"
    assert solves(extract_program(f"```python\n{CODE}{broken}```", ["mean"]))


def test_a_continuation_ends_before_the_first_stop_string() -> None:
    assert cut_at("    return 1\n\ndef g(): pass\nprint(1)", ("\nprint", "\ndef")) == "    return 1\n"
    assert cut_at("    return 1\n", ("\ndef",)) == "    return 1\n"


def test_warnings_about_an_answers_escapes_are_not_shown(recwarn: pytest.WarningsRecorder) -> None:
    extract_program('```python\nx = "\\d"\ndef mean(v):\n    return x is "a"\n```', ["mean"])
    assert not recwarn.list


def test_reading_an_answer_executes_nothing() -> None:
    before = set(sys.modules)
    extract_program(
        "```python\nimport antigravity, this\nraise SystemExit\ndef mean(v):\n    return antigravity\n```", ["mean"]
    )
    assert "antigravity" not in set(sys.modules) - before
