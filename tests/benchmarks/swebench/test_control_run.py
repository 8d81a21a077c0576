"""Tests that are made to fail, for the second run of a patch that seems to resolve."""

from __future__ import annotations

import pytest

from stackbench.benchmarks.swebench.control_run import make_control

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


def test_each_test_fails_in_its_first_statement_and_nothing_else_changes() -> None:
    control = make_control({PATH: TESTS, "tests/broken.py": "def test_x(:\n", "tests/data.py": "A = 1\n"})
    assert set(control.files) == {PATH}
    names = {"test_plain", "test_documented_only", "test_decorated", "test_method"}
    assert control.functions == {PATH: names}
    changed = control.files[PATH]
    compile(changed, PATH, "exec")
    before = TESTS.split("\n")
    added = [line for line in changed.split("\n") if line.strip().startswith("assert ") and line not in before]
    assert len(added) == len(names)
    assert [line for line in changed.split("\n") if line not in added] == before
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
