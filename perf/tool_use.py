"""The tool-use benchmark's own cost: the oracle over all tasks, a step of the agent's loop, a tool's round trip.

Usage: python -m perf.tool_use [all]    Prints each figure with what was asked of it. The loop is measured beside
LangChain's create_agent with ChatOpenAI alone (langchain 1.5.2, langchain-openai 1.7.4) against the same server, in one
run, as processor time of the process per step (a model's turn and a tool's call). `all` also runs the oracle over the
500 tasks, short and long ones apart.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from perf.peers import peer, served, stackbench, timed
from stackbench.agents import AgentLimits, Watch, run_agent
from stackbench.agents.tools import TOOLS, Workspace, call_tool
from stackbench.config import Settings
from stackbench.engine import plan_benchmarks
from stackbench.engine.attempt_tracker import AttemptTracker
from stackbench.engine.context import AttemptContext
from stackbench.engine.controls import RunControls
from stackbench.engine.resources import AttemptResources
from stackbench.engine.run_order import utc_now
from stackbench.models import Model, ModelOptions, create_model
from stackbench.models.oracle import OracleModel
from stackbench.sandbox.image import ensure_image
from stackbench.sandbox.pool import SandboxPool
from stackbench.sandbox.sandboxes import Sandboxes
from stackbench.sandbox.spec import SandboxSpec
from stackbench.slots import Slots
from stackbench.store import RunRow, Writer
from stackbench.types import AttemptKey, AttemptRecord, AttemptStatus, Sampling, ToolCall

STEPS = 30
AGENTS = 12
READS = 500
ALL_TOOLS = tuple(TOOLS)

PEER = """
import asyncio, sys, time
from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

@tool
def process(action: str) -> str:
    "Look after background commands."
    return "no background commands"

async def main():
    model = ChatOpenAI(model="fake", base_url=sys.argv[1], api_key="x", max_retries=0)
    agent = create_agent(model, tools=[process], system_prompt="You are an assistant.")
    async def once():
        await agent.ainvoke({"messages": [("user", "go")]}, config={"recursion_limit": 1000})
    await once()
    began = time.process_time()
    for _ in range(int(sys.argv[2])):
        await once()
    print((time.process_time() - began) / (int(sys.argv[2]) * int(sys.argv[3])) * 1000)

asyncio.run(main())
"""


def main() -> None:
    with served("perf.calling_server", str(STEPS)) as url:
        python = peer("langchain-openai==1.7.4", more=("langchain==1.5.2",))
        theirs, ours = [], []
        for _ in range(3):
            theirs.append(float(timed([str(python), "-c", PEER, url, str(AGENTS), str(STEPS)]).stdout))
            ours.append(asyncio.run(with_server(url)))
        alone = [asyncio.run(without_model()) for _ in range(3)]
    base, whole = statistics.median(theirs), statistics.median(ours)
    print(f"create_agent with ChatOpenAI alone: {base:.2f} ms of processor time per step")
    print(f"stackbench, over HTTP, logged: {whole:.2f} ms; ratio {whole / base:.2f}")
    print(f"stackbench, without the model: {statistics.median(alone):.2f} ms (asked: under 6)")
    asyncio.run(round_trips())
    if "all" in sys.argv[1:]:
        for length, asked in (("short", 150), ("long", 150)):
            oracle(length, asked)


def oracle(length: str, asked_s: int) -> None:
    """The oracle over the tasks of one length."""
    with tempfile.TemporaryDirectory() as home:
        options = ["-T", f"length={length}", "-m", "oracle", "--sandboxes", "8", "--home", home, "--json"]
        done = timed(stackbench("eval", "tooluse", *options))
    found = json.loads(done.stdout)["results"][0]
    names = ("completion", "tool_call_accuracy", "parameter_correctness", "workflow_success")
    figures = ", ".join(f"{name} {found['metrics'][name]['value']:.3f}" for name in names)
    print(
        f"oracle: {found['attempts']} {length} tasks, {figures}, {done.wall_s:.0f} s (asked: under {asked_s}), "
        f"{done.cpu_s:.0f} s of processor time in the program"
    )


class NoSession:
    """A sandbox that is never asked: the tool called only looks at its own list."""


async def agents(model: Model, folder: Path) -> float:
    """Milliseconds of processor time per step, all threads of this process, the writer's too."""
    plan = plan_benchmarks(["tooluse"], Settings())
    writer = Writer(folder / "perf.duckdb")
    writer.start_run(RunRow("perf", "perf", utc_now(), "fake", {}, (0,), None, {}))
    sandbox = Sandboxes(plan.settings, "perf", print)
    slots, numbers = Slots(64), itertools.count(1)
    resources = AttemptResources(
        model,
        sandbox,
        RunControls(concurrency=64),
        AttemptTracker(lambda what: None),
        lambda what: None,
    )

    def script(made: Sequence[Any]) -> tuple[str, Sequence[ToolCall]]:
        if len(made) >= STEPS:
            return "Done.", ()
        return "", [ToolCall(f"c{len(made)}", "process", '{"action": "list"}')]

    async def once(number: int) -> None:
        key = AttemptKey("tooluse", f"t{number}", 0, 0)
        context = AttemptContext(key, plan, plan.benchmarks[0], resources, slots, lambda: next(numbers), utc_now)
        result = await run_agent(
            "go",
            backend=context,
            workspace=Workspace(NoSession()),  # type: ignore[arg-type]
            tools=ALL_TOOLS,
            system="You are an assistant.",
            sampling=Sampling(max_tokens=512),
            limits=AgentLimits(steps=STEPS + 2, repeats=STEPS + 2),
            script=script,
        )
        assert (result.ending, len(result.calls)) == ("answered", STEPS), result
        writer.attempt("perf", record(key, result.answer, utc_now()), context.events, context.tool_calls)

    await once(0)
    began = time.process_time()
    for number in range(1, AGENTS + 1):
        await once(number)
    writer.flush()
    spent = time.process_time() - began
    writer.close()
    return spent / (AGENTS * STEPS) * 1000


def record(key: AttemptKey, answer: str, now: datetime) -> AttemptRecord:
    metrics: Mapping[str, Any] = {}
    return AttemptRecord(key, "", AttemptStatus.COMPLETED, 1.0, True, None, "go", answer, 0, 0, now, 0.0, metrics)


async def with_server(url: str) -> float:
    os.environ.setdefault("OPENAI_API_KEY", "x")
    with tempfile.TemporaryDirectory() as name:
        model = create_model(f"openai:fake@{url}", ModelOptions(home=Path(name), logs=Path(name)))
        await model.start(lambda line: None)
        try:
            return await agents(model, Path(name))
        finally:
            await model.close()


async def without_model() -> float:
    with tempfile.TemporaryDirectory() as name:
        return await agents(OracleModel(), Path(name))


async def round_trips() -> None:
    pool = SandboxPool(SandboxSpec(ensure_image(print)), size=1)
    try:
        async with pool.lease() as session:
            await session.write("small.txt", b"some lines\n" * 40)
            workspace = Workspace(session)
            for name, arguments in (("read", {"path": "small.txt"}), ("exec", {"command": "true"})):
                times: list[float] = []
                for _ in range(READS):
                    began = time.perf_counter()
                    result = await call_tool(name, arguments, workspace)
                    times.append((time.perf_counter() - began) * 1000)
                    assert not result.outcome.failed
                cuts = statistics.quantiles(times, n=100)
                asked = " (asked: under 5 p50)" if name == "read" else ""
                print(f"{name}: {cuts[49]:.2f} ms p50, {cuts[98]:.2f} ms p99{asked}")
            await session.run("for n in $(seq 100); do mkdir -p d/$((n % 7)); echo $n > d/$((n % 7))/$n; done")
            watch = Watch(session)
            await watch.begin()
            times = []
            for number in range(READS):
                await session.run(f"echo {number} > d/1/1")
                began = time.perf_counter()
                effects = await watch.look()
                times.append((time.perf_counter() - began) * 1000)
                assert effects is not None and effects.paths == {"d/1/1"}
            cuts = statistics.quantiles(times, n=100)
            print(f"effects of a call, 108 files: {cuts[49]:.2f} ms p50, {cuts[98]:.2f} ms p99 (asked: under 3 p50)")
    finally:
        await pool.close()


if __name__ == "__main__":
    main()
