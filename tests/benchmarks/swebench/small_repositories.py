"""Two small git repositories with a bug, its fix and tests, as mirrors and rows of SWE-bench.

They stand in for repositories that the tables of swebench know: one is tested by pytest, one by a runner that prints
as Django's does. Dates are fixed, so that commits, and with them the images made from them, are always the same.
"""

from __future__ import annotations

import difflib
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WHEN = "2024-01-02T03:04:05+00:00"
SETUP = """from setuptools import setup

setup(name="{name}", version="1.0", py_modules=["{module}"], extras_require={{"dev": ["pytest"]}})
"""
CALC = '''"""Sums."""


def total(numbers):
    """The sum of numbers."""
    result = 0
    for number in numbers[1:]:
        result += number
    return result


def mean(numbers):
    """Their mean; 0 for none."""
    return total(numbers) / len(numbers) if numbers else 0
'''
CALC_TESTS = """import calc


def test_none():
    assert calc.total([]) == 0


def test_mean_of_none():
    assert calc.mean([]) == 0
"""
CALC_NEW_TESTS = """

def test_total():
    assert calc.total([1, 2, 3]) == 6


def test_mean():
    assert calc.mean([2, 4]) == 3
"""
WORDS = '''"""Words."""


def shout(text):
    """The text in capitals, with an exclamation mark."""
    return text.upper()
'''
WORDS_TESTS = """import unittest

import words


class ShoutTests(unittest.TestCase):
    def test_capitals(self):
        self.assertTrue(words.shout("a").startswith("A"))
"""
WORDS_NEW_TESTS = """
    def test_mark(self):
        self.assertEqual(words.shout("hi"), "HI!")
"""
RUNNER = """#!/usr/bin/env python
import sys
import unittest

sys.path[:0] = ["tests", "."]
names = [word for word in sys.argv[1:] if not word.startswith("--") and not word.isdigit()]
suite = unittest.defaultTestLoader.loadTestsFromNames(names)
sys.exit(not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful())
"""


@dataclass(frozen=True)
class SmallRepositories:
    """Where they are."""

    mirrors: Path
    dataset: Path
    rows: dict[str, dict[str, Any]]

    def written(self, folder: Path, *rows: dict[str, Any]) -> Path:
        """A data set of these rows."""
        path = folder / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path


CALC_ID, WORDS_ID = "marshmallow-code__marshmallow-1", "django__django-2"


def make(folder: Path) -> SmallRepositories:
    """Both repositories below a folder, with mirrors and rows."""
    mirrors = folder / "mirrors"
    mirrors.mkdir(parents=True)
    calc = _row(
        folder / "calc",
        mirrors / "marshmallow-code__marshmallow.git",
        {
            "setup.py": SETUP.format(name="marshmallow", module="calc"),
            "calc.py": CALC,
            "tests/test_calc.py": CALC_TESTS,
            ".gitignore": "*.egg-info\n__pycache__\n",
        },
        {"calc.py": CALC.replace("numbers[1:]", "numbers")},
        {"tests/test_calc.py": CALC_TESTS + CALC_NEW_TESTS},
    ) | {
        "repo": "marshmallow-code/marshmallow",
        "instance_id": CALC_ID,
        "version": "3.0",
        "problem_statement": "`calc.total` leaves the first number out.",
        "hints_text": "the slice is wrong",
        "FAIL_TO_PASS": json.dumps(["tests/test_calc.py::test_total", "tests/test_calc.py::test_mean"]),
        "PASS_TO_PASS": json.dumps(["tests/test_calc.py::test_none", "tests/test_calc.py::test_mean_of_none"]),
    }
    words = _row(
        folder / "words",
        mirrors / "django__django.git",
        {
            "setup.py": SETUP.format(name="django", module="words"),
            "words.py": WORDS,
            "tests/runtests.py": RUNNER,
            "tests/words_tests/__init__.py": "",
            "tests/words_tests/test_shout.py": WORDS_TESTS,
            "tests/requirements/py3.txt": "# nothing\n",
        },
        {"words.py": WORDS.replace("text.upper()", 'text.upper() + "!"')},
        {"tests/words_tests/test_shout.py": WORDS_TESTS + WORDS_NEW_TESTS},
    ) | {
        "repo": "django/django",
        "instance_id": WORDS_ID,
        "version": "4.2",
        "problem_statement": "`words.shout` forgets the exclamation mark.",
        "hints_text": "",
        # as unittest named tests before Python 3.11
        "FAIL_TO_PASS": json.dumps(["test_mark (words_tests.test_shout.ShoutTests)"]),
        "PASS_TO_PASS": json.dumps(["test_capitals (words_tests.test_shout.ShoutTests)"]),
    }
    rows = {row["instance_id"]: row for row in (calc, words)}
    dataset = folder / "instances.jsonl"
    dataset.write_text("".join(json.dumps(row) + "\n" for row in rows.values()))
    return SmallRepositories(mirrors, dataset, rows)


def _row(work: Path, mirror: Path, files: dict[str, str], fix: dict[str, str], tests: dict[str, str]) -> dict[str, Any]:
    """Commits the files, then fix and tests in a later commit, which is the one that the environment is made from."""
    work.mkdir()
    git(work, "init", "--quiet", "--initial-branch=main")
    base = _commit(work, files, "before")
    gold = _diff(work, fix)
    test_patch = _diff(work, tests)
    later = _commit(work, fix | tests, "the fix")
    git(work, "tag", "v2")
    subprocess.run(["git", "clone", "--quiet", "--mirror", work, mirror], check=True, capture_output=True)
    return {
        "base_commit": base,
        "environment_setup_commit": later,
        "patch": gold,
        "test_patch": test_patch,
        "created_at": WHEN,
    }


def _commit(work: Path, files: dict[str, str], message: str) -> str:
    _write(work, files)
    (work / "tests/runtests.py").exists() and (work / "tests/runtests.py").chmod(0o755)
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "--message", message)
    return git(work, "rev-parse", "HEAD").strip()


def _diff(work: Path, files: dict[str, str]) -> str:
    """What a change would be, without making it."""
    _write(work, files)
    found = git(work, "diff")
    git(work, "checkout", "--quiet", ".")
    return found


def _write(work: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def patch_of(path: str, before: str, after: str) -> str:
    """A patch of git's that changes one file."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{path}", f"b/{path}"
    )
    return f"diff --git a/{path} b/{path}\n{''.join(lines)}"


def git(work: Path, *arguments: str) -> str:
    """What git prints."""
    names = ("GIT_AUTHOR", "GIT_COMMITTER")
    who = {f"{name}_NAME": "A" for name in names} | {f"{name}_EMAIL": "a@example.com" for name in names}
    dates = {f"{name}_DATE": WHEN for name in names}
    done = subprocess.run(
        ["git", *arguments], cwd=work, env=os.environ | who | dates, check=True, capture_output=True, text=True
    )
    return done.stdout
