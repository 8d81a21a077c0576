"""Patches as SWE-bench exchanges them: which files they change, what of them counts, and what is refused."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = [
    "FilePatch",
    "Refusal",
    "is_test_file",
    "join_patches",
    "patch_hash",
    "patched_files",
    "solution_of",
    "split_patch",
    "with_headers",
]

LARGEST_PATCH = 1 << 20
"""Characters of a model's patch; the largest gold patch of SWE-bench has 0.2 million."""
HEADER = re.compile(r"^diff --git (?:\"?a/(?P<old>.*?)\"?) (?:\"?b/(?P<new>.*?)\"?)$", re.MULTILINE)
NOTHING = "/dev/null"
WINDOWS_HEADER = re.compile(r"^diff --git .*\r$", re.MULTILINE)
TEST_FOLDERS = {"tests", "__tests__"}
LEADING_TEST_FOLDERS = {"test", "testing", "e2e"}
TEST_NAME = re.compile(r"(test_.*|.*_tests?|tests|conftest)\.py|.*[._-](test|spec)\.[a-z]+")
RUNNER_FILES = {
    "pytest.ini",
    "tox.ini",
    ".coveragerc",
    "noxfile.py",
    "sitecustomize.py",
    "usercustomize.py",
    "pytest.py",
}
"""Files that say how tests are run."""


@dataclass(frozen=True, slots=True)
class FilePatch:
    """What a patch does to one file."""

    path: str
    """After the change; before it, where the file is deleted."""
    text: str
    created: bool = False
    deleted: bool = False
    binary: bool = False
    old_path: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a patch, or a part of it, does not count."""

    reason: str
    paths: tuple[str, ...] = ()


def split_patch(patch: str) -> list[FilePatch]:
    """A patch as the changes of its files: git's, where text before the first `diff --git` is left out, or `diff -u`'s.

    Where its own lines end with CR LF, as Windows writes them, they end with LF; in another patch CR is content.
    """
    if WINDOWS_HEADER.search(patch):
        patch = patch.replace("\r\n", "\n")
    if not HEADER.search(patch):
        patch = with_headers(patch)
    starts = list(HEADER.finditer(patch))
    ends = [match.start() for match in starts[1:]] + [len(patch)]
    found: list[FilePatch] = []
    for match, end in zip(starts, ends, strict=False):
        text = patch[match.start() : end]
        head = text.split("\n@@", 1)[0]
        deleted = "\ndeleted file mode" in head
        found.append(
            FilePatch(
                path=match["old"] if deleted else match["new"],
                text=text if text.endswith("\n") else text + "\n",
                created="\nnew file mode" in head,
                deleted=deleted,
                binary="\nGIT binary patch" in text or "\nBinary files " in head,
                old_path=match["old"],
            )
        )
    return found


def with_headers(text: str) -> str:
    """A patch of `diff -u` with the header lines of git's, as far as they follow from it; empty where there is none."""
    lines: list[str] = []
    plain = text.replace("\r\n", "\n").split("\n")
    for number, line in enumerate(plain):
        after = plain[number + 1] if number + 1 < len(plain) else ""
        if line.startswith("--- ") and after.startswith("+++ "):
            old, new = _named(line), _named(after)
            name = old if new == NOTHING else new
            lines.append(f"diff --git a/{name} b/{name}")
            if old == NOTHING:
                lines.append("new file mode 100644")
            elif new == NOTHING:
                lines.append("deleted file mode 100644")
            lines += [f"--- {old if old == NOTHING else f'a/{old}'}", f"+++ {new if new == NOTHING else f'b/{new}'}"]
        elif lines and not (line.startswith("+++ ") and lines[-1].startswith("+++ ")):
            lines.append(line)
    return "\n".join(lines).rstrip("\n") + "\n" if lines else ""


def _named(line: str) -> str:
    """The path of a line `--- a/PATH` or `+++ b/PATH`, which a date may follow."""
    name = line[4:].split("\t")[0].strip()
    return name.removeprefix("a/") if line.startswith("---") else name.removeprefix("b/")


def join_patches(files: Iterable[FilePatch]) -> str:
    """The changes of several files as one patch."""
    return "".join(file.text for file in files)


def patched_files(patch: str) -> tuple[str, ...]:
    """The files that a patch changes, in its order."""
    return tuple(dict.fromkeys(file.path for file in split_patch(patch)))


def solution_of(patch: str, test_patch: str) -> tuple[str, tuple[Refusal, ...]]:
    """What of a work tree's diff is the solution: without tests, without what says how they are run, without binaries.

    A solution that is larger than any real one is refused as a whole.
    """
    tests = set(patched_files(test_patch))
    kept: list[FilePatch] = []
    test_files: list[str] = []
    binaries: list[str] = []
    for file in split_patch(patch):
        if file.path in tests or is_test_file(file.path):
            test_files.append(file.path)
        elif file.binary:
            binaries.append(file.path)
        else:
            kept.append(file)
    refused = [Refusal("test files are not part of a solution", tuple(test_files))] if test_files else []
    if binaries:
        refused.append(Refusal("binary files are not part of a solution", tuple(binaries)))
    solution = join_patches(kept)
    if len(solution) > LARGEST_PATCH:
        refused.append(Refusal(f"the patch has {len(solution):,} characters; at most {LARGEST_PATCH:,} are taken"))
        return "", tuple(refused)
    return solution, tuple(refused)


def is_test_file(path: str) -> bool:
    """Whether a file belongs to a project's tests, or says how they are run, by its place and name."""
    folders = path.split("/")[:-1]
    name = posixpath.basename(path)
    if name in RUNNER_FILES or TEST_NAME.fullmatch(name):
        return True
    return bool(folders) and (folders[0] in LEADING_TEST_FOLDERS or not TEST_FOLDERS.isdisjoint(folders))


def patch_hash(patch: str) -> str:
    """sha256 of a patch, byte for byte."""
    return hashlib.sha256(patch.encode("utf-8", "surrogateescape")).hexdigest()
