"""The checkpoint of an attempt on disk: as it was kept, or none."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from stackbench.agents.checkpoints import Checkpoint
from stackbench.config import Settings
from stackbench.control.messages import EventKind
from stackbench.engine import plan_benchmarks
from stackbench.engine.attempt_tracker import AttemptTracker
from stackbench.engine.context import AttemptContext
from stackbench.engine.controls import RunControls
from stackbench.engine.resources import AttemptResources
from stackbench.engine.run_order import utc_now
from stackbench.sandbox.container_changes import ContainerChanges
from stackbench.slots import Slots
from stackbench.types import AttemptKey, Generation, Message, Request, ToolCallRecord
from tests.engine.test_context import Saying

CHECKPOINT = Checkpoint(
    [{"type": "human", "data": {"content": "\ud83d in \x00 \u202e"}}],
    {"step": 2},
    1.5,
    3,
    ContainerChanges(b"\x1f\x8b", b"\xff\x00"),
)


def context(folder: Path, task: str = "a/1", said: list[EventKind] | None = None) -> AttemptContext:
    plan = plan_benchmarks(["humaneval"], Settings(model="null"))
    sandbox: Any = None
    publish = [].append if said is None else said.append
    resources = AttemptResources(
        Saying(Generation("B", prompt_tokens=7, completion_tokens=2)), sandbox, RunControls(),
        AttemptTracker(lambda what: None), publish, folder,
    )  # fmt: skip
    numbers = itertools.count(100)
    key = AttemptKey("humaneval", task, 0, 1)
    return AttemptContext(key, plan, plan.benchmarks[0], resources, Slots(1), lambda: next(numbers), utc_now)


async def kept(folder: Path) -> AttemptContext:
    made = context(folder)
    await made.generate(Request(made.sampling(max_tokens=5), (Message("user", "Q"),)))
    made.log("note", {"text": "ein Wort"})
    made.log("odd", {"path": str(folder), "of": [1, None, True]})
    made.log_call(ToolCallRecord(1, "read", "{}", True, "text", None, 1.25, call_id="c1"))
    store = made.checkpoints
    assert store is not None
    await store.keep("basis", CHECKPOINT)
    return made


async def test_another_process_goes_on_with_the_same_log(tmp_path: Path) -> None:
    made = await kept(tmp_path)
    said: list[EventKind] = []
    other = context(tmp_path, said=said)
    other.log("before", {})
    store = other.checkpoints
    assert store is not None
    assert await store.find("basis") == CHECKPOINT and len(other.events) == 1
    store.take_up()
    assert [(e.ts, e.kind, e.payload) for e in other.events[1:]] == [(e.ts, e.kind, e.payload) for e in made.events]
    assert [event.seq for event in other.events] == [100, 101, 102, 103]
    assert (other.tool_calls, other.texts(""), other.cut) == (made.tool_calls, made.texts(""), made.cut)
    assert [event.text for event in said if event.kind == "notice"] == [
        "humaneval: a/1 goes on from its checkpoint, after 1 turn"
    ]
    await store.keep("basis", CHECKPOINT)
    assert [path.suffix for path in tmp_path.iterdir()] == [".zip"]
    other.drop_checkpoint()
    assert list(tmp_path.iterdir()) == []


async def test_what_is_of_something_else_or_broken_is_no_checkpoint(tmp_path: Path) -> None:
    await kept(tmp_path)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for task, basis in (("a/1", "other"), ("a/2", "basis")):
        other = context(tmp_path, task)
        store = other.checkpoints
        assert store is not None and await store.find(basis) is None and other.events == []
    for broken in (b"", whole[: len(whole) // 2], whole.replace(b"state.json", b"other.json"), b"\0" * 1000):
        path.write_bytes(broken)
        other = context(tmp_path)
        store = other.checkpoints
        assert store is not None and await store.find("basis") is None
        assert [event.kind for event in other.events] == ["checkpoint_unusable"]


async def test_a_value_that_is_no_json_costs_no_attempt(tmp_path: Path) -> None:
    made = context(tmp_path)
    made.log("odd", {"path": tmp_path})
    store = made.checkpoints
    assert store is not None
    await store.keep("basis", CHECKPOINT)
    other = context(tmp_path).checkpoints
    assert other is not None and await other.find("basis") == CHECKPOINT
