"""Tests that are made to fail, for the second run of a patch that seems to resolve."""

from __future__ import annotations

import pytest

from stackbench.benchmarks.swebench.control_run import make_control
from stackbench.benchmarks.swebench.drawn_failures import failing_lines

TESTS = '''import unittest


def test_plain():
    """What it says."""
    value = 1
    assert value


def test_documented_only():
    """Nothing else."""


def test_on_one_line(): assert True


@decorated
def test_decorated(a, b=(1,
                         2)):
    @other
    def inner():
        pass
    inner()


class TestCase(unittest.TestCase):
    async def test_method(self):
        await self.go()

    def helper(self):
        return 1
'''
PATH = "tests/sub/test_a.py"


@pytest.mark.parametrize("_", range(20))
def test_each_test_fails_and_nothing_else_changes(_: int) -> None:
    control = make_control({PATH: TESTS, "tests/broken.py": "def test_x(:\n", "tests/data.py": "A = 1\n"})
    assert set(control.files) == {PATH}
    names = {"test_plain", "test_documented_only", "test_decorated", "TestCase.test_method"}
    assert control.functions == {PATH: names}
    changed = control.files[PATH]
    compile(changed, PATH, "exec")
    kept = list(changed.split("\n"))
    for line in reversed(TESTS.split("\n")):
        place = len(kept) - 1 - kept[::-1].index(line)
        kept[place:] = []
    assert sum("assert " in line for line in changed.split("\n")) == len(names) + 2
    space: dict[str, object] = {"decorated": lambda test: test, "other": lambda test: test}
    exec(compile(changed, PATH, "exec"), space)
    for name, arguments in (("test_plain", ()), ("test_documented_only", ()), ("test_decorated", (1,))):
        with pytest.raises(AssertionError):
            space[name](*arguments)  # type: ignore[operator]
    assert space["test_plain"].__doc__ == "What it says."


@pytest.mark.parametrize(
    ("name", "held"),
    [
        ("tests/sub/test_a.py::test_plain", True),
        ("tests/sub/test_a.py::TestCase::test_method[a b-1]", True),
        ("tests/sub/test_b.py::test_plain", False),
        ("tests/sub/test_a.py::test_on_one_line", False),
        ("test_method (sub.test_a.TestCase)", True),
        ("test_method (sub.test_a.TestCase.test_method)", True),
        ("test_method (sub.test_b.TestCase)", False),
        ("test_plain", True),
        ("test_elsewhere", False),
        ("What it says.", False),
    ],
)
def test_names_of_required_tests_are_found_in_the_changed_files(name: str, held: bool) -> None:
    assert bool(make_control({PATH: TESTS}).made_to_fail([name])) is held


OTHERS = """import pytest


class TestOne(Shared):
    pass


class TestTwo:
    def test_shared(self):
        x = 1
        assert x

    def test_s(self): assert True


class TestThree:
    def test_s(self):
        assert True

    test_t = staticmethod(lambda: None)


def test_t():
    assert True


@pytest.mark.xfail
def test_known_bug():
    assert False


def test_early():
    if OLD:
        return
    assert True
"""


@pytest.mark.parametrize(
    ("name", "held"),
    [
        ("t/test_o.py::TestOne::test_shared", False),  # inherited from a file that the instance does not bring
        ("t/test_o.py::TestTwo::test_shared", True),
        ("t/test_o.py::TestTwo::test_s", False),
        ("t/test_o.py::TestThree::test_s[a::b]", True),
        ("t/test_o.py::TestThree::test_t", False),
        ("t/test_o.py::test_t", True),
        ("t/test_o.py::test_known_bug", False),
        ("test_shared (t.test_o.TestOne)", False),
        ("test_shared (test_o.TestTwo.test_shared)", True),
        ("test_early", True),
    ],
)
def test_a_test_is_found_in_its_own_class_and_where_it_may_fail(name: str, held: bool) -> None:
    assert bool(make_control({"t/test_o.py": OTHERS}).made_to_fail([name])) is held


@pytest.mark.parametrize("_", range(20))
def test_nothing_is_put_behind_a_statement_that_may_end_a_test(_: int) -> None:
    lines = make_control({"t.py": OTHERS}).files["t.py"].split("\n")
    early = lines[lines.index("def test_early():") :]
    assert early.index("    if OLD:") > min(number for number, line in enumerate(early) if "assert " in line)


def test_drawn_statements_fail_for_every_value() -> None:
    for value in (None, 0, "rows", [], object(), int, failing_lines):
        for _ in range(60):
            with pytest.raises(AssertionError):
                exec("\n".join(failing_lines(["value"])), {"value": value})
