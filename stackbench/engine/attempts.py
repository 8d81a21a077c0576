"""Makes the attempts of a benchmark: so many at once, each recorded when it ends, errors told apart from failures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stackbench.benchmarks import SpeedBenchmark
from stackbench.engine.context import AttemptContext
from stackbench.engine.events import AttemptFinished, Listener
from stackbench.engine.lazy_sandbox import LazySandbox
from stackbench.engine.plan import RunPlan
from stackbench.engine.work import LoadedBenchmark, Work
from stackbench.errors import AttemptError, ModelLostError, RunFailedError, StoreError, one_line
from stackbench.models import Model, Watched
from stackbench.store import Reader, Writer
from stackbench.types import AttemptRecord, AttemptStatus, FinishReason, Scored

__all__ = ["AttemptMaker", "Rooms", "Tally"]

GRACE_S = 3.0
SAME_ERRORS_AT_LEAST = 50
LONGEST_FAULT = 2000


@dataclass(slots=True)
class Tally:
    """Attempts ended so far, over this part of the run."""

    errors_in_a_row: int = 0
    last_error: str = ""
    tokens: int = 0
    running: int = 0


@dataclass(frozen=True, slots=True)
class Rooms:
    """What the engine holds while it runs."""

    writer: Writer
    reader: Reader
    model: Model
    sandbox: LazySandbox


@dataclass(frozen=True, slots=True)
class AttemptMaker:
    """Works lists of attempts off; `tally` grows as it goes."""

    run_id: str
    plan: RunPlan
    rooms: Rooms
    tally: Tally
    listener: Listener
    stopping: asyncio.Event
    seq: Iterator[int]
    """Numbers of events, unique within the run."""
    now: Callable[[], datetime]

    async def work_off(self, left: Sequence[Work], item: LoadedBenchmark) -> None:
        """Keeps `concurrency` attempts under way until the work is done, `stopping` is set or errors pile up.

        Raises:
            RunFailedError: attempt after attempt ended in an error.
            StoreError: the database failed.
            ModelLostError: the model is gone.
        """
        queue = iter(left)
        slots = self._slots(item)
        size = min(slots + self._scoring_beside(item, slots), len(left))
        give_up = max(SAME_ERRORS_AT_LEAST, 2 * size)
        semaphore = asyncio.Semaphore(slots)

        async def worker() -> None:
            for work in queue:
                if self.stopping.is_set():
                    return
                await self._attempt(work, item, semaphore)
                await asyncio.sleep(0)  # answers that are there at once would keep the loop from everything else
                if self.tally.errors_in_a_row >= give_up:
                    raise RunFailedError(
                        f"{give_up} attempts in a row ended in errors; the last: {self.tally.last_error}"
                    )

        workers = [asyncio.create_task(worker()) for _ in range(size)]
        if not workers:
            return
        stopped = asyncio.create_task(self.stopping.wait())
        try:
            pending: set[asyncio.Task[Any]] = set(workers)
            while pending and not stopped.done():
                ended, pending = await asyncio.wait({*pending, stopped}, return_when=asyncio.FIRST_COMPLETED)
                pending.discard(stopped)
                for task in ended - {stopped}:
                    task.result()
            if pending:
                await asyncio.wait(pending, timeout=GRACE_S)
        finally:
            helpers: list[asyncio.Task[Any]] = [*workers, stopped]
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)

    def _slots(self, item: LoadedBenchmark) -> int:
        """Requests to have at the model at once: those that it works on, and those that a server keeps waiting."""
        if isinstance(item.benchmark, SpeedBenchmark):
            return 1
        model = self.rooms.model
        asked = self.plan.settings.concurrency or model.concurrency
        return asked + (model.backlog if isinstance(model, Watched) else 0)

    def _scoring_beside(self, item: LoadedBenchmark, slots: int) -> int:
        """Attempts to have under way beside those at the model, so that scoring leaves no slot empty."""
        if not item.benchmark.uses_sandbox or self.plan.samples_file is not None:
            return 0
        return max(2, slots // 2) if slots > 1 else 0

    async def _attempt(self, work: Work, item: LoadedBenchmark, slots: asyncio.Semaphore) -> None:
        tally, rooms = self.tally, self.rooms
        context = AttemptContext(
            work.key, self.plan, item.plan, rooms.model, rooms.sandbox, slots, lambda: next(self.seq), self.now
        )
        started_at = self.now()
        tally.running += 1
        try:
            scored = await work.make(context)
            status, error = AttemptStatus.COMPLETED, scored.reason or None
            tally.errors_in_a_row = 0
        except (StoreError, ModelLostError):
            raise
        except Exception as problem:  # a fault in one benchmark's code must not lose the other attempts
            known = isinstance(problem, AttemptError)
            text = str(problem) if known else f"fault in {item.plan.name}: {one_line(repr(problem), LONGEST_FAULT)}"
            scored, status, error = context.failed(), AttemptStatus.ERROR, f"error: {text}"
            tally.errors_in_a_row += 1
            tally.last_error = text
        finally:
            tally.running -= 1
        try:
            record = _record(work, scored, status, error, started_at, cut=context.cut)
            rooms.writer.attempt(self.run_id, record, context.events, context.tool_calls)
        except StoreError:
            raise
        except Exception as problem:  # nothing that one attempt holds ends the run
            text = f"the attempt cannot be recorded: {one_line(repr(problem))}"
            tally.errors_in_a_row += 1
            tally.last_error = text
            record = _record(work, Scored(0.0, False), AttemptStatus.ERROR, f"error: {text}", started_at, cut=False)
            rooms.writer.attempt(self.run_id, record)
        counted = isinstance(record.completion_tokens, int)  # pyright: ignore[reportUnnecessaryIsInstance]
        tokens = record.completion_tokens if counted else 0
        tally.tokens += tokens
        self.listener(
            AttemptFinished(
                work.key.benchmark, work.key.task_id, record.passed, record.error or "", tokens, cut=context.cut
            )
        )


def _record(
    work: Work, scored: Scored, status: AttemptStatus, error: str | None, started_at: datetime, *, cut: bool
) -> AttemptRecord:
    completed = status is AttemptStatus.COMPLETED
    return AttemptRecord(
        key=work.key,
        category=work.task.category,
        status=status,
        score=scored.score if completed else None,
        passed=scored.passed if completed else None,
        error=error,
        prompt=scored.prompt,
        completion=scored.completion,
        prompt_tokens=scored.prompt_tokens,
        completion_tokens=scored.completion_tokens,
        started_at=started_at,
        latency_s=scored.latency_s,
        metrics=scored.metrics,
        thought=scored.thought,
        program=scored.program,
        finish_reason=FinishReason.LENGTH if cut else scored.finish_reason,
    )
