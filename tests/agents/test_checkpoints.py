"""An agent's checkpoints: kept between turns, taken up by another session in another container."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from stackbench.agents import AgentLimits, AgentResult, run_agent
from stackbench.agents.checkpoints import Checkpoint, Checkpoints
from stackbench.agents.tools import Workspace
from stackbench.errors import SandboxError
from stackbench.sandbox.container_changes import ContainerChanges
from stackbench.sandbox.pool import SandboxPool
from stackbench.sandbox.spec import SandboxSpec
from stackbench.types import Generation, Sampling
from tests.agents.scripted_backend import ScriptedBackend, calls, says

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("agents")]


class Kept:
    """A store in memory; `took_up` counts."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, Checkpoint]] = []
        self.took_up = 0
        self.full = False

    async def find(self, basis: str) -> Checkpoint | None:
        return self.kept[-1][1] if self.kept and self.kept[-1][0] == basis else None

    def take_up(self) -> None:
        self.took_up += 1

    async def keep(self, basis: str, checkpoint: Checkpoint) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.kept.append((basis, checkpoint))

    def drop(self) -> None:
        self.kept.clear()


@pytest.fixture(scope="module")
async def writable(image: str) -> AsyncIterator[SandboxPool]:
    pool = SandboxPool(SandboxSpec(image, workdir="/srv", writable=True, memory_mib=512, disk_mib=64), size=2)
    yield pool
    await pool.close()


async def run(
    pool: SandboxPool, backend: ScriptedBackend, checkpoints: Checkpoints, **options: Any
) -> tuple[AgentResult, str]:
    """The agent's result, and the files of its folder with what they hold."""
    given: dict[str, Any] = {"system": "Be brief.", "sampling": Sampling(max_tokens=100), "limits": AgentLimits()}
    async with pool.lease() as session:
        workspace = Workspace(session)
        tools = ("read", "write", "exec", "process")
        result = await run_agent(
            "the task",
            backend=backend,
            workspace=workspace,
            tools=tools,
            checkpoints=checkpoints,
            **{**given, **options},
        )
        await workspace.close()
        left = await session.run("grep -r . . | sort")
        return result, left.stdout.decode()


WORK: list[Callable[[], Generation]] = [
    lambda: calls(("write", {"path": "a", "content": "1"}), text="One."),
    lambda: calls(("exec", {"command": "echo 2 >> b; sleep 60", "yieldMs": 100})),
    lambda: calls(("process", {"action": "kill", "sessionId": "s1"})),
    lambda: calls(("write", {"path": "a", "content": "3"})),
    lambda: calls(("exec", {"command": "cat a b; rm a"})),
    lambda: says("done"),
]


async def test_an_agent_goes_on_where_the_last_checkpoint_was_kept(writable: SandboxPool) -> None:
    whole = ScriptedBackend(*(turn() for turn in WORK))
    store = Kept()
    straight, files = await run(writable, whole, Checkpoints(store, "basis", 2))
    assert [one.session["step"] for _, one in store.kept] == [3, 5]
    skipped = [payload for kind, payload in whole.events if kind == "checkpoint_skipped"]
    assert skipped[0]["step"] == 2 and skipped[0]["reason"].startswith("a command still runs: ")

    del store.kept[1]
    rest = ScriptedBackend(*(turn() for turn in WORK[3:]))
    checkpoints = Checkpoints(store, "basis", 2)
    resumed, files_after = await run(writable, rest, checkpoints)
    assert (checkpoints.resumed_at, store.took_up, files_after) == (3, 1, files)
    assert rest.kinds()[0] == "agent_resumed" and "agent_start" not in rest.kinds()
    assert rest.asked == whole.asked[3:]
    assert replace(resumed, model_s=0, calls=()) == replace(straight, model_s=0, calls=())
    assert [(c.step, c.tool, c.arguments) for c in resumed.calls] == [
        (c.step, c.tool, c.arguments) for c in straight.calls
    ]
    assert [call.text for call in resumed.calls[-1:]] == ["32"]


async def test_limits_go_on_as_well(writable: SandboxPool) -> None:
    store = Kept()
    one = ScriptedBackend(*(calls(("exec", {"command": "true"}), text=str(number)) for number in range(9)))
    first, _ = await run(writable, one, Checkpoints(store, "basis", 3), limits=AgentLimits(steps=4))
    assert (first.ending, first.steps) == ("steps", 4)
    for limits, ending, steps in (
        (AgentLimits(steps=4), "steps", 4),
        (AgentLimits(repeats=4), "repeats", 4),
        (AgentLimits(tokens=50), "tokens", 4),
        (AgentLimits(seconds=store.kept[-1][1].used_s), "seconds", 3),
    ):
        again = ScriptedBackend(*(calls(("exec", {"command": "true"}), text=str(number)) for number in range(9)))
        checkpoints = Checkpoints(store, "basis", 50)
        result, _ = await run(writable, again, checkpoints, limits=limits)
        assert (checkpoints.resumed_at, result.ending, result.steps) == (3, ending, steps)


async def test_another_basis_and_a_full_disk(writable: SandboxPool) -> None:
    store = Kept()
    await run(writable, ScriptedBackend(*(turn() for turn in WORK)), Checkpoints(store, "one", 4))
    other, checkpoints = ScriptedBackend(*(turn() for turn in WORK)), Checkpoints(store, "other", 4)
    store.full = True
    result, _ = await run(writable, other, checkpoints)
    assert (checkpoints.resumed_at, result.steps, result.answer) == (None, 6, "done")
    assert [payload["reason"] for kind, payload in other.events if kind == "checkpoint_skipped"] == [
        "[Errno 28] No space left on device"
    ]


async def test_a_checkpoint_that_cannot_be_taken_up_is_tried_once(writable: SandboxPool) -> None:
    store = Kept()
    await run(writable, ScriptedBackend(*(turn() for turn in WORK)), Checkpoints(store, "basis", 4))
    basis, kept = store.kept.pop()
    store.kept.append((basis, replace(kept, changes=ContainerChanges(b"no archive", b""))))
    with pytest.raises(SandboxError, match="^the attempt's checkpoint cannot be taken up: "):
        await run(writable, ScriptedBackend(), Checkpoints(store, "basis", 4))
    anew = Checkpoints(store, "basis", 4)
    result, _ = await run(writable, ScriptedBackend(*(turn() for turn in WORK)), anew)
    assert (anew.resumed_at, result.answer) == (None, "done")
