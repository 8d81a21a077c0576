"""What the process beside the agent tells of the workspace since it last looked."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from stackbench.sandbox.pool import SandboxPool
from stackbench.sandbox.records import FileChanges, HttpRoute
from stackbench.sandbox.session import Session

pytestmark = pytest.mark.docker

REPOSITORY = (
    "git init -q -b main r && cd r && git config user.name a && git config user.email a@b.c && echo x > f && git add f"
    " && git commit -qm x"
)


@pytest.fixture
async def session(pool: SandboxPool) -> AsyncIterator[Session]:
    async with pool.lease() as session:
        await session.run(f"mkdir -p d/e && echo 1 > d/one && echo 2 > d/e/two && {REPOSITORY}")
        assert (await session.observe()).files is None  # there was nothing before to compare with
        yield session


async def after(session: Session, command: str) -> FileChanges:
    await session.run(command)
    files = (await session.observe()).files
    assert files is not None
    return files


async def test_what_changed_and_nothing_else(session: Session) -> None:
    assert await after(session, "true") == FileChanges()
    found = await after(session, "echo 3 >> d/one; chmod 700 d; rm d/e/two; mkdir g && ln -s d g/link")
    assert (found.changed, found.removed, found.added) == ({"d", "d/one"}, {"d/e/two"}, {"g", "g/link"})
    same = await after(session, "cp d/one x && mv x d/one; touch d/one")
    assert (same.changed, same.added) == (set(), set())
    assert (await after(session, "ln -sfn e g/link")).changed == {"g/link"}


async def test_what_was_read_is_told_and_what_was_only_seen_is_not(session: Session) -> None:
    assert (await after(session, "stat d/one; test -e d/e/two; ls -l d/one")).read == set()
    assert (await after(session, "cat d/one > /dev/null; python3 -c 'open(\"d/e/two\").read()'")).read == {
        "d/one", "d/e/two",
    }  # fmt: skip
    assert (await after(session, "ls d")).read == {"d"}
    made = await after(session, "mkdir n && echo 1 > n/new")
    assert "n/new" in made.added
    assert (await after(session, "grep -r 1 n")).read == {"n", "n/new"}


@pytest.mark.parametrize(
    ("command", "changed"),
    [
        ("touch f && git status && git log && git diff && git branch -a", set()),
        ("git gc -q && git pack-refs --all", set()),
        ("git branch evil", {"r/.git/refs/heads/evil"}),
        ("git tag -a -m t t", {"r/.git/refs/tags/t"}),
        ("git -c core.pager=x config core.pager cat", {"r/.git/config"}),
        ("echo y > f && git add f", {"r/f", "r/.git/index"}),
        ("git commit -q --allow-empty -m y", {"r/.git/refs/heads/main"}),
        ("git checkout -q --detach", {"r/.git/HEAD"}),
        ("git stash list; git tag u && git pack-refs --all && git tag -d u", set()),
        ("echo exit > .git/hooks/pre-commit", {"r/.git/hooks/pre-commit"}),
    ],
)
async def test_a_repository_is_told_by_its_state(session: Session, command: str, changed: set[str]) -> None:
    found = await after(session, f"cd r && {command}")
    assert found.changed | found.added | found.removed == changed


async def test_requests_are_told_from_a_number_on(session: Session) -> None:
    await session.start_http([HttpRoute("/a"), HttpRoute("/b", "POST", status=201)], port=8080)
    await session.run("curl -s http://127.0.0.1:8080/a; curl -s -X POST http://127.0.0.1:8080/b")
    assert [(one.method, one.path, one.status) for one in (await session.observe(since=1)).requests] == [
        ("POST", "/b", 201)
    ]


async def test_more_files_than_can_be_looked_through_are_not_told_of(session: Session) -> None:
    deep = "/".join(["d"] * 250)
    await session.run(f"mkdir -p {deep}")
    assert (await session.observe()).files is None
    await session.run("rm -r d")
    assert (await session.observe()).files is None
    assert (await session.observe()).files == FileChanges()
