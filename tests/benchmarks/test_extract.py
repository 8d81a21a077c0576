from __future__ import annotations

import pytest

from stackbench.benchmarks.extract import defines, extract_code, function_body


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("```python\ndef f():\n    return 1\n```", "def f():\n    return 1\n"),
        ("Sure!\n```py\ndef f(): pass\n```\nIt works.", "def f(): pass\n"),
        ("```\ndef f(): pass\n```", "def f(): pass\n"),
        ("```Python\ndef f(): pass\n```", "def f(): pass\n"),
        ("```python\ndef f():\n    return 1", "def f():\n    return 1"),
        ("  ```python\n  def f():\n      return 1\n  ```", "def f():\n    return 1\n"),
        ("Here it is:\n\nimport re\ndef f(): pass", "import re\ndef f(): pass"),
        ("    return 1", "    return 1"),
        ("", ""),
        ("I cannot help with that.", "I cannot help with that."),
    ],
)
def test_code_is_found_in_answers_as_models_write_them(answer: str, code: str) -> None:
    assert extract_code(answer) == code


def test_the_block_that_defines_the_function_wins_over_longer_ones() -> None:
    answer = "```python\nassert f(1) == 1 and f(2) == 2 and f(3) == 3\n```\nand\n```python\ndef f(x): return x\n```"
    assert extract_code(answer, "f") == "def f(x): return x\n"


def test_shell_blocks_are_passed_over() -> None:
    assert extract_code("```bash\npip install numpy pandas scipy\n```\n```python\nx = 1\n```") == "x = 1\n"


def test_backticks_within_code_do_not_end_the_block() -> None:
    answer = '```python\ndef f():\n    """Use ``x``."""\n    return "```"\n```'
    assert extract_code(answer, "f").endswith('return "```"\n')


@pytest.mark.parametrize(
    ("code", "found"),
    [("def f(x): pass", True), ("async def f(): pass", True), ("f = lambda: 1", True), ("class f: pass", True)]
    + [("def ff(): pass", False), ("    def f(): pass", False), ("f == 1", False), ("# def f", False)],
)
def test_definitions_are_recognised(code: str, found: bool) -> None:
    assert defines(code, "f") is found


def test_a_bare_body_is_indented_and_an_indented_one_left_alone() -> None:
    assert function_body("return 1\n") == "    return 1\n"
    assert function_body("    return 1\n") == "    return 1\n"
    assert function_body("") == ""
