"""Files of a repository that one answer is shown: what BM25 finds for the issue, or those of the reference patch."""

# bm25s carries partial types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from stackbench.benchmarks.swebench.environments import REPOSITORY
from stackbench.benchmarks.swebench.patches import is_test_file, split_patch
from stackbench.errors import SandboxError, ToolError, UsageError
from stackbench.extras import install_command

if TYPE_CHECKING:
    from stackbench.sandbox.session import Session

__all__ = ["Retrieved", "check_retrieval", "oracle_files", "rank", "retrieve"]

LARGEST_FILE = 200_000
MOST_TREE_MIB = 256
ARCHIVE = "git archive --format=tar HEAD -- '*.py'"


@dataclass(frozen=True, slots=True)
class Retrieved:
    """Files, as a prompt shows them."""

    paths: tuple[str, ...]
    text: str
    left_out: tuple[str, ...] = ()
    """Those that there was no room for."""


async def retrieve(session: Session, query: str, most_characters: int) -> Retrieved:
    """The source files that fit an issue best, as many whole ones as there is room for; tests are left out.

    The index is made of each file's path and text (Robertson's BM25 as bm25s has it, k1 = 1.5, b = 0.75).

    Raises:
        SandboxError: the repository cannot be read.
    """
    files = await _sources(session)
    ranked = await asyncio.to_thread(rank, query, files)
    return _shown([(path, files[path]) for path in ranked], most_characters)


async def oracle_files(session: Session, gold: str, most_characters: int) -> Retrieved:
    """The files that the reference patch changes, as they are before it."""
    found: list[tuple[str, str]] = []
    for file in split_patch(gold):
        if not file.created:
            try:
                content = await session.read(f"{REPOSITORY}/{file.old_path}", root="/")
            except ToolError as error:
                raise SandboxError(f"{file.old_path} of the reference patch cannot be read: {error}") from error
            found.append((file.old_path, content.data.decode(errors="replace")))
    return _shown(found, most_characters)


def check_retrieval() -> None:
    """Raises UsageError where bm25s is not installed."""
    if find_spec("bm25s") is None:
        raise UsageError(f"retrieval needs bm25s, which is not installed; run: {install_command('swe')}")


def rank(query: str, files: dict[str, str]) -> list[str]:
    """Paths, the best first."""
    import bm25s

    paths = sorted(files)
    if not paths:
        return []
    corpus = bm25s.tokenize([f"{path}\n{files[path]}" for path in paths], stopwords="en", show_progress=False)
    index: Any = bm25s.BM25(method="robertson", k1=1.5, b=0.75)
    index.index(corpus, show_progress=False)
    asked = bm25s.tokenize([query], stopwords="en", show_progress=False)
    results, _ = index.retrieve(asked, k=len(paths), show_progress=False)
    return [paths[int(number)] for number in results[0]]


async def _sources(session: Session) -> dict[str, str]:
    done = await session.run(
        ARCHIVE, cwd=REPOSITORY, env={"GIT_CONFIG_COUNT": "0"}, output_mib=MOST_TREE_MIB, timeout_s=120
    )
    if done.exit_code or done.reason != "ended":
        raise SandboxError(f"the repository's files cannot be read: {done.stderr[-200:].decode(errors='replace')}")
    found: dict[str, str] = {}
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        for member in archive:
            data = archive.extractfile(member) if member.isreg() and member.size <= LARGEST_FILE else None
            if data is not None and not is_test_file(member.name):
                found[member.name] = data.read().decode(errors="replace")
    return found


def _shown(files: Sequence[tuple[str, str]], most_characters: int) -> Retrieved:
    shown: list[str] = []
    paths: list[str] = []
    left_out: list[str] = []
    room = most_characters
    for path, text in files:
        piece = f"[start of {path}]\n{text}\n[end of {path}]\n"
        if len(piece) > room:
            left_out.append(path)
            continue
        room -= len(piece)
        shown.append(piece)
        paths.append(path)
    return Retrieved(tuple(paths), "".join(shown), tuple(left_out))
