"""`show RUN TASK --request` and `resend`: what an attempt asked, rebuilt from the database, and sent again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from rich.text import Text

from stackbench.cli.console import notice, out, print_json
from stackbench.config import Home
from stackbench.engine.recorded_requests import RecordedRequest
from stackbench.engine.resend import Resent, read_requests, request_document, resend
from stackbench.errors import UsageError
from stackbench.store import AttemptDetail, Reader, RunInfo, open_queries
from stackbench.types import Generation
from stackbench.visible_text import in_one_line, visible

__all__ = ["print_requests", "send_again"]

NOT_EXACT = (
    "greedy answers are sure to come out the same in float32 alone (--dtype float32); in other precisions a near tie "
    "can fall either way with what is decoded beside it"
)
Found = list[tuple[AttemptDetail, RecordedRequest]]
SHOWN = 2000


def print_requests(home: Path | None, name: str, sample: str | None) -> None:
    """Prints every request of the attempts at a task, as one JSON document."""
    if sample is None:
        raise UsageError("--request prints what the attempts at one task asked; name the task: show RUN TASK --request")
    run, found = _read(Home.find(home, to_write=False), name, sample)
    print_json([_document(run, recorded) for _, recorded in found])


def send_again(
    home: Path | None,
    name: str,
    sample: str,
    *,
    attempt: int | None,
    seed: int | None,
    call: int | None,
    model: str | None,
    as_json: bool,
) -> int:
    """Sends requests again: 0 for the same answers, 1 where one differs, 3 where one got no answer."""
    place = Home.find(home)
    run, found = _read(place, name, sample)
    wanted = {"attempt": attempt, "seed": seed, "call": call}
    chosen = [(detail, recorded) for detail, recorded in found if _is_wanted(recorded, wanted)]
    if call is None:  # one that got no answer has none to compare with
        chosen = [(detail, recorded) for detail, recorded in chosen if not recorded.failed]
    if not chosen:
        said = ", ".join(f"--{option} {value}" for option, value in wanted.items() if value is not None)
        raise UsageError(f'run {run.run_id} has no answered request of "{sample}"{f" with {said}" if said else ""}')
    resent = asyncio.run(_send(run, chosen, place, model, as_json=as_json))
    if as_json:
        print_json([_resent_document(run, one) for one in resent])
    if any(one.after is None for one in resent):
        return 3
    if not any(one.differences for one in resent):
        return 0
    notice(NOT_EXACT)
    return 1


async def _send(run: RunInfo, chosen: Found, home: Home, model: str | None, *, as_json: bool) -> list[Resent]:
    resent: list[Resent] = []
    async for one in resend(run, chosen, home, model, notice):
        resent.append(one)
        if not as_json:
            _print(one)
    return resent


def _read(home: Home, name: str, sample: str) -> tuple[RunInfo, Found]:
    queries = open_queries(home.database, home.socket)
    try:
        reader = Reader(queries)
        run = reader.run(name)
        attempts = list(reader.sample(run.run_id, sample))
        found = read_requests(reader, attempts)
    finally:
        queries.close()
    if not found:
        raise UsageError(
            f'run {run.run_id} recorded no request of "{sample}": samples of a file are scored without a model, and '
            "requests that measure speed are not kept"
        )
    return run, found


def _is_wanted(recorded: RecordedRequest, wanted: dict[str, int | None]) -> bool:
    has = {"attempt": recorded.key.attempt, "seed": recorded.key.seed, "call": recorded.number}
    return all(value is None or has[option] == value for option, value in wanted.items())


def _document(run: RunInfo, recorded: RecordedRequest) -> dict[str, Any]:
    key = recorded.key
    return {
        "run_id": run.run_id,
        "model": run.model,
        "benchmark": key.benchmark,
        "task_id": key.task_id,
        "attempt": key.attempt,
        "seed": key.seed,
        "call": recorded.number,
        "answered": not recorded.failed,
        "request": request_document(recorded),
        "sent": recorded.payload.get("sent"),
    }


def _resent_document(run: RunInfo, one: Resent) -> dict[str, Any]:
    return {
        **_document(run, one.recorded),
        "same": not one.differences,
        "differences": list(one.differences),
        "recorded": _answer(one.before),
        "answer": _answer(one.after),
        "error": one.error or None,
    }


def _answer(generation: Generation | None) -> dict[str, Any] | None:
    if generation is None:
        return None
    return {
        "text": generation.text,
        "thought": generation.thought,
        "tool_calls": [{"name": call.name, "arguments": call.arguments} for call in generation.tool_calls],
        "choice_logprobs": None if generation.choice_logprobs is None else list(generation.choice_logprobs),
        "finish_reason": generation.finish_reason.value,
        "completion_tokens": generation.completion_tokens,
    }


def _print(one: Resent) -> None:
    key = one.recorded.key
    where = f"{key.benchmark} {key.task_id}  attempt {key.attempt}  seed {key.seed}  call {one.recorded.number}: "
    console = out()
    if one.after is None:
        console.print(Text(in_one_line(f"{where}no answer: {one.error}"), style="yellow"))
    elif not one.differences:
        console.print(Text(in_one_line(f"{where}the same answer"), style="green"))
    else:
        console.print(Text(in_one_line(f"{where}differs in {', '.join(one.differences)}"), style="red"))
        for title, answer in (("recorded", one.before), ("now", one.after)):
            if answer is not None:
                console.print(Text(f"-- {title}", style="dim"))
                console.print(Text(visible(answer.text[:SHOWN])))
