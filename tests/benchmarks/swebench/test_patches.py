"""What of a patch counts, and how close it is to the reference patch."""

from __future__ import annotations

import pytest

from stackbench.benchmarks.swebench.patches import is_test_file, patched_files, solution_of, split_patch
from stackbench.benchmarks.swebench.similarity import closeness, same_changes
from stackbench.benchmarks.swebench.solving import patch_in
from stackbench.benchmarks.swebench.swe_metrics import swe_metrics
from stackbench.types import Scored
from tests.benchmarks.scripted import summary
from tests.benchmarks.swebench.small_repositories import patch_of

GOLD = patch_of("calc.py", "a\nb\nc\n", "a\nB\nc\nd\n")
BINARY = "diff --git a/x.png b/x.png\nnew file mode 100644\nindex 0000000..1\nGIT binary patch\nliteral 1\nIcmZPo\n\n"


@pytest.mark.parametrize(
    ("path", "is_test"),
    [
        ("tests/test_x.py", True),
        ("src/pkg/tests/helpers.py", True),
        ("testing/test_assertrewrite.py", True),
        ("conftest.py", True),
        ("pytest.ini", True),
        ("sitecustomize.py", True),
        ("pkg/thing_test.py", True),
        ("src/__tests__/a.js", True),
        ("lib/a.spec.ts", True),
        ("django/test/client.py", False),
        ("sympy/testing/runtests.py", False),
        ("src/_pytest/pytester.py", False),
        ("setup.cfg", False),
        ("pkg/contest.py", False),
        ("docs/latest.md", False),
    ],
)
def test_tests_are_known_by_place_and_name(path: str, is_test: bool) -> None:
    assert is_test_file(path) == is_test


def test_a_solution_is_the_patch_without_tests_and_binaries() -> None:
    tests = patch_of("tests/test_calc.py", "x\n", "y\n")
    own = patch_of("checks.py", "x\n", "y\n")
    solution, refused = solution_of(GOLD + tests + BINARY + own, own)
    assert patched_files(solution) == ("calc.py",)
    assert [(one.reason, one.paths) for one in refused] == [
        ("test files are not part of a solution", ("tests/test_calc.py", "checks.py")),
        ("binary files are not part of a solution", ("x.png",)),
    ]


def test_a_solution_of_fifty_megabytes_is_refused() -> None:
    solution, (refused,) = solution_of(patch_of("a.txt", "", "x" * 50_000_000 + "\n"), "")
    assert solution == "" and "at most 1,048,576 are taken" in refused.reason


def test_files_of_a_patch_with_crlf_deletions_and_no_newline_at_its_end_are_named() -> None:
    deletion = "diff --git a/old.py b/old.py\ndeleted file mode 100644\n--- a/old.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-x"
    files = split_patch(GOLD.replace("\n", "\r\n").replace("calc.py\r\n---", "calc.py\n---") + deletion)
    assert [(file.path, file.deleted) for file in files] == [("calc.py", False), ("old.py", True)]
    assert split_patch("") == [] and split_patch("no patch") == []


def test_similarity_counts_changed_lines_file_by_file() -> None:
    same = closeness(GOLD, GOLD)
    assert (same.edit_similarity, same.file_precision, same.file_recall) == (1, 1, 1)
    # -b and +B of the reference's -b, +B, +d
    partial = closeness(patch_of("calc.py", "a\nb\nc\n", "a\nB\nc\n"), GOLD)
    assert partial.edit_similarity == pytest.approx(2 * 2 / 5)
    elsewhere = closeness(patch_of("other.py", "b\n", "B\n") + GOLD, GOLD)
    assert (elsewhere.file_precision, elsewhere.file_recall) == (0.5, 1)
    assert elsewhere.edit_similarity == pytest.approx(2 * 3 / 8)
    nothing = closeness("", GOLD)
    assert (nothing.edit_similarity, nothing.file_precision, nothing.file_recall) == (0, None, 0)
    assert closeness(patch_of("calc.py", "a\n", "  a \n\n"), patch_of("calc.py", "a\n", "a \n")).edit_similarity == 1


def test_patches_that_git_writes_differently_are_the_same() -> None:
    other = GOLD.replace("--- a/", "index 123..456 100644\n--- a/").replace("@@\n", "@@ def f():\n")
    assert same_changes(GOLD, other) and not same_changes(GOLD, GOLD.replace("+d", "+e"))


@pytest.mark.parametrize(
    "answer",
    [
        f"Here it is:\n```diff\n{GOLD}```\nDone.",
        f"```\nno patch\n```\n```patch\n{GOLD}```",
        f"I change one line.\n{GOLD}",
        f"```diff\n{GOLD}",
    ],
)
def test_the_patch_is_found_in_an_answer(answer: str) -> None:
    assert same_changes(patch_in(answer), GOLD)


def test_a_patch_of_diff_is_read_as_one_of_gits() -> None:
    plain = GOLD.split("\n", 1)[1]
    assert same_changes(patch_in(f"```diff\n{plain}```"), GOLD)
    assert patch_in("I do not know.") == ""


def test_a_patch_that_windows_wrote_changes_the_same_lines() -> None:
    patch = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-old\n+new\n"
    windows = patch.replace("\n", "\r\n")
    near = closeness(windows, patch)
    assert (near.edit_similarity, near.file_precision, near.file_recall) == (1.0, 1.0, 1.0)
    assert same_changes(windows, patch)
    content = patch.replace("+new", "+new\r")
    assert split_patch(content)[0].text == content


def test_a_patch_of_diff_has_its_files_and_its_similarity() -> None:
    git = (
        "diff --git a/a.py b/a.py\nindex 1..2 100644\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-a\n+b\n"
        "diff --git a/new.py b/new.py\nnew file mode 100644\n--- /dev/null\n+++ b/new.py\n@@ -0,0 +1 @@\n+c\n"
    )
    plain = "".join(line for line in git.splitlines(True) if not line.startswith(("diff ", "index ", "new file")))
    assert [(file.path, file.created) for file in split_patch(plain)] == [("a.py", False), ("new.py", True)]
    found = closeness(plain, git)
    assert (found.edit_similarity, found.file_precision, found.file_recall) == (1, 1, 1)
    assert same_changes(plain, git)


def test_figures_by_the_reference_patch_are_told_where_it_is_known_of_each_instance() -> None:
    def names(*known: float | None) -> set[str]:
        made = [
            summary(f"t/{n}", Scored(1.0, True, metrics={"gold_passes": one, "empty_patch": 0.0}))
            for n, one in enumerate(known)
        ]
        return {metric.name for metric in swe_metrics(made)}

    assert {"resolved_where_gold_passes", "gold_passes"} <= names(1.0, 0.0)
    assert names(1.0, None).isdisjoint({"resolved_where_gold_passes", "gold_passes"})
