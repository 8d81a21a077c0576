"""What one attempt is given, without a run around it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from stackbench.config import Settings
from stackbench.engine import plan_benchmarks
from stackbench.engine.attempt_tracker import AttemptTracker
from stackbench.engine.context import AttemptContext
from stackbench.engine.controls import RunControls
from stackbench.engine.resources import AttemptResources
from stackbench.engine.run_order import utc_now
from stackbench.errors import SandboxError
from stackbench.models.null import NullModel
from stackbench.sandbox import CodeJob, CodeResult, Section
from stackbench.slots import Slots
from stackbench.types import AttemptKey, Generation, Message, Request, Scored, ToolSpec

KEY = AttemptKey("humaneval", "HumanEval/0", 0, 0)


class Saying(NullModel):
    """Answers with what the test wrote down."""

    def __init__(self, *said: Generation) -> None:
        self.said = list(said)

    async def generate(self, requests: Sequence[Request]) -> list[Generation]:
        return [self.said.pop(0) for _ in requests]


class BrokenSandbox:
    async def run(self, job: CodeJob) -> CodeResult:
        raise SandboxError("the container died")


def context(*said: Generation) -> AttemptContext:
    plan = plan_benchmarks(["humaneval"], Settings(model="null"))
    sandbox: Any = BrokenSandbox()
    resources = AttemptResources(
        Saying(*said), sandbox, RunControls(), AttemptTracker(lambda what: None), lambda what: None
    )
    numbers = itertools.count()
    return AttemptContext(KEY, plan, plan.benchmarks[0], resources, Slots(1), lambda: next(numbers), utc_now)


@pytest.mark.parametrize("prompt", [None, "a bare prompt"])
async def test_a_thought_is_no_part_of_any_answer(prompt: str | None) -> None:
    made = context(Generation("<think>\nB?\n</think>\n\nC", thought="It came apart."))
    messages = (Message("user", "Q"),) if prompt is None else ()
    generation = await made.generate(Request(made.sampling(max_tokens=5), messages, prompt))
    assert (generation.text, generation.thought) == ("C", "It came apart.\n\nB?")
    failed = made.failed()
    assert (failed.completion, failed.thought) == ("C", "It came apart.\n\nB?")
    scored = Scored(1.0, True).of("Q", generation)
    assert (scored.completion, scored.thought) == ("C", "It came apart.\n\nB?")


async def test_an_agents_turn_is_logged_with_its_thought_apart() -> None:
    made = context(Generation("<think>I might call rm.</think>Done."))
    tools = (ToolSpec("read", "Reads.", "{}"),)
    await made.generate(Request(made.sampling(max_tokens=5), (Message("user", "Q"),), tools=tools))
    (event,) = made.events
    assert (event.payload["text"], event.payload["thought"]) == ("Done.", "I might call rm.")


async def test_the_program_of_an_attempt_that_ends_in_an_error_is_recorded() -> None:
    made = context(Generation("```python\nx = 1\n```"))
    await made.generate(Request(made.sampling(max_tokens=5), (Message("user", "Q"),)))
    with pytest.raises(SandboxError):
        await made.run_code(CodeJob(sections=(Section("setup", trusted=True), Section("x = 1"))))
    assert made.failed().program == "x = 1"


class Retrying(NullModel):
    """Fails for a while, waits, and answers."""

    async def generate(self, requests: Sequence[Request]) -> list[Generation]:
        (request,) = requests
        assert request.on_retry is not None
        await asyncio.sleep(0.1)  # a try that fails
        request.on_retry(2, 0.2)
        await asyncio.sleep(0.2)
        request.on_retry(2, 0.0)
        await asyncio.sleep(0.05)
        return [Generation("yes")]


@pytest.mark.parametrize("broken_off", [False, True])
async def test_a_failed_try_and_the_wait_after_it_are_not_the_model_s_time(broken_off: bool) -> None:
    made = context()
    made._model = Retrying()
    asking = asyncio.create_task(made.generate(Request(made.sampling(max_tokens=5), (Message("user", "Q"),))))
    if broken_off:
        while not made.clock.waited_s > 0.15:
            await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        waited = made.clock.waited_s
        await asyncio.sleep(0.01)
        assert made.clock.waited_s == waited  # it runs again
        return
    await asking
    assert made.clock.waited_s >= 0.3
    assert 0.05 <= made.clock.active_s < 0.3


async def test_waiting_for_a_place_at_the_model_does_not_count() -> None:
    made = context(Generation("yes"))
    await made._slots.acquire()
    asking = asyncio.create_task(made.generate(Request(made.sampling(max_tokens=5), (Message("user", "Q"),))))
    while not made.clock.waited_s > 0.1:
        await asyncio.sleep(0.01)
    made._slots.release()
    await asking
    assert made.clock.waited_s > 0.1 and made.clock.active_s < 0.1
    assert not made._slots.taken


async def test_an_attempt_that_waits_for_its_place_as_the_run_is_held_asks_nothing_until_it_goes_on() -> None:
    made = context(Generation("held back"))
    await made._slots.acquire(0)  # another attempt has the only place
    asked = asyncio.create_task(made.generate(Request(made.sampling(max_tokens=5), (), "Q")))
    await asyncio.sleep(0.01)
    made._controls.pause(now=True)
    made._slots.release()
    done, _ = await asyncio.wait({asked}, timeout=0.1)
    assert not done and not made._slots.full, "it gave the place back"
    made._controls.resume()
    assert (await asked).text == "held back"


async def test_a_try_that_is_due_while_the_run_is_held_waits() -> None:
    made = context(Generation("later"))
    made._controls.pause(now=True)
    held = made._note_retry(2, 0.0)
    assert held is not None
    waiting = asyncio.ensure_future(held)
    done, _ = await asyncio.wait({waiting}, timeout=0.05)
    assert not done
    made._controls.resume()
    await waiting
    assert made._note_retry(3, 0.0) is None
