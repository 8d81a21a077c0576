"""Engines in processes of their own: `--detach`, and the hidden command `engine`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from stackbench.cli.progress import PlainProgress
from stackbench.config import Home
from stackbench.control.client import connect
from stackbench.engine import EngineService, RunPlan, new_run_id
from stackbench.engine.detached import Order, engine_log
from stackbench.errors import EngineUnreachableError, HomeLockedError, StackbenchError

__all__ = ["detach", "run_engine"]

REACHED_WITHIN_S = 60.0
READ_AT_MOST = 65536


def detach(home: Home, plan: RunPlan, resume: str | None) -> dict[str, Any]:
    """Has a run carried out by an engine that outlives this process; returns once that can be reached.

    The answer has `run_id`, `pid` and `socket`. Where an engine is live, the run is put into its queue.

    Raises:
        StackbenchError: the engine could not start; its own words.
    """
    run_id = resume or new_run_id()
    order: Order = {"run_id": run_id, "plan": plan.model_dump(mode="json"), "resume": resume is not None}
    try:
        answer = asyncio.run(_submit(home, [order]))
        return {"run_id": answer[0], "pid": answer[1], "socket": str(home.socket)}
    except EngineUnreachableError:
        pass
    log = home.run(run_id)
    log.mkdir(parents=True, exist_ok=True)
    reading, writing = os.pipe()
    if os.fork() == 0:  # this process has one thread and no event loop yet
        _become_engine(home, order, engine_log(home, run_id), reading, writing)
    os.close(writing)
    with os.fdopen(reading) as readable:
        line = readable.read(READ_AT_MOST)
    try:
        answer = json.loads(line)
    except ValueError:
        answer = {"error": f"the engine ended as it started; see {log / 'engine.log'}"}
    if "error" in answer:
        error = StackbenchError(answer["error"])
        error.exit_code = int(answer.get("exit_code", 3))
        raise error
    return {"run_id": run_id, "pid": answer["pid"], "socket": str(home.socket)}


def run_engine(home: Home, listed: Path) -> int:
    """The hidden command `engine`: carries out the orders of a file, then ends."""
    orders: list[Order] = json.loads(listed.read_text(encoding="utf-8"))
    listed.unlink()
    try:
        asyncio.run(_serve(home, orders, None))
    except HomeLockedError:  # another engine began meanwhile: it takes them
        asyncio.run(_submit(home, orders))
    return 0


def _become_engine(home: Home, order: Order, log: Path, reading: int, writing: int) -> NoReturn:
    """In the forked process: a session of its own, its output in the run's log, then the engine."""
    code = 3
    try:
        os.close(reading)
        os.setsid()
        if os.fork() != 0:  # so that it is nobody's child and can get no terminal
            os._exit(0)
        nothing = os.open(os.devnull, os.O_RDWR)
        written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for number, file in ((0, nothing), (1, written), (2, written)):
            os.dup2(file, number)
        asyncio.run(_serve(home, [order], writing))
        code = 0
    except StackbenchError as error:
        _tell(writing, {"error": str(error), "exit_code": error.exit_code})
        code = error.exit_code
    except BaseException as error:
        _tell(writing, {"error": f"{type(error).__name__}: {error}"})
        raise
    finally:
        sys.stderr.flush()
        os._exit(code)


async def _serve(home: Home, orders: Sequence[Order], ready: int | None) -> None:
    """An engine in this process until its queue is empty."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal that closes is not ours any more
    with PlainProgress() as progress:
        async with EngineService(home, listener=progress) as service:
            for order in orders:
                plan = RunPlan.model_validate(order["plan"])
                resume = order["run_id"] if order["resume"] else None
                await service.submit_plan(plan, run_id=order["run_id"], resume=resume)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, service.stop_all)
            if ready is not None:
                _tell(ready, {"pid": os.getpid()})
            await service.idle()


def _tell(writing: int, answer: dict[str, Any]) -> None:
    try:
        os.write(writing, json.dumps(answer).encode())
        os.close(writing)
    except OSError:
        pass  # told already, or nobody waits for it


async def _submit(home: Home, orders: Sequence[Order]) -> tuple[str, int]:
    """Puts runs into a live engine's queue; the last one's id and the engine's pid."""
    client = await connect(home.socket, "eval --detach")
    try:
        run_id = ""
        for order in orders:
            resume = order["run_id"] if order["resume"] else None
            answer = await client.command(
                "submit", who="eval --detach", plan=order["plan"], resume=resume, run_id=order["run_id"]
            )
            run_id = str(answer["run_id"])
        return run_id, client.welcome.pid
    finally:
        await client.close()
