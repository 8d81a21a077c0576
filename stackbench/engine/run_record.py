"""A run in the database: its row at the start, its figures and status at the end, and its own events between."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from stackbench.engine.completeness import Figures, sum_up
from stackbench.engine.cost import run_cost
from stackbench.engine.environment import git_commit, machine_environment, source_sha256
from stackbench.engine.outcome import RunOutcome
from stackbench.engine.plan import RunPlan
from stackbench.engine.recorded_gates import judge_gates
from stackbench.engine.replays import model_traits
from stackbench.engine.resources import RunResources
from stackbench.engine.run_model import check_same_model, sampling_not_set
from stackbench.engine.run_order import RunOrder
from stackbench.engine.sanity import Sanity, check_same_data, check_sanity
from stackbench.engine.work import LoadedBenchmark, planned_attempts, planned_rows
from stackbench.errors import ErrorKind
from stackbench.models import Templated
from stackbench.store import Reader, RunRow, Writer, label_run
from stackbench.types import EventRecord, RunStatus

__all__ = ["RunEnd", "RunRecord", "infrastructure_hints", "stall_payload"]


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How the attempts of a run ended."""

    started: float
    """When this part of the run began, in seconds of `time.monotonic`."""
    skipped: Mapping[str, str]
    problem: str
    """Why the run ended before its work did."""
    last_error: str
    unmade: bool
    """Whether the operator ended it before its work was done."""
    left_out: bool = False
    """Whether attempts were cancelled, or a replayed run has not made them."""
    made_again: int = 0
    """Times that an attempt was made again after an error of the infrastructure."""


class RunRecord:
    """Writes one run. Methods may be called from any thread, one at a time."""

    def __init__(self, order: RunOrder, writer: Writer, now: Callable[[], datetime]) -> None:
        self._order = order
        self._writer = writer
        self._now = now
        self._seq: Iterator[int] = itertools.count(1)
        self._recorded = False
        self._machine: dict[str, Any] = {}
        self._commit: str | None = None
        self._figures: dict[str, Figures] = {}

    def next_seq(self) -> int:
        """The next number of an event, unique within the run."""
        return next(self._seq)

    @property
    def exists(self) -> bool:
        """Whether the run has its row, so that events of it are kept."""
        return self._recorded and self._writer.failure is None

    def event(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Records an event of the run itself, once the run is recorded."""
        if self.exists:
            record = EventRecord("", "", 0, None, self.next_seq(), self._now(), kind, payload)
            self._writer.event(self._order.run_id, record)

    def start(
        self, plan: RunPlan, resources: RunResources, loaded: Sequence[LoadedBenchmark], skipped: Mapping[str, str]
    ) -> None:
        """The run's row and those of its benchmarks; of a run that goes on, what is new.

        Raises:
            UsageError: the run goes on with other files of its model, or other data.
            StoreError: the database failed.
        """
        run_id, planned = self._order.run_id, planned_rows(plan, loaded, skipped, self._order.samples)
        environment = self._environment(resources)
        before = resources.reader.run(run_id) if self._order.resume else None
        if before is not None:
            check_same_model(before, resources.model.describe())
            check_same_data(run_id, resources.reader.planned(run_id), planned)
            self._seq = itertools.count(resources.reader.last_seq(run_id) + 1)
            self._writer.resume_run(run_id, planned, environment=environment, git_commit=self._commit)
        else:
            if plan.name or plan.tags:
                self._writer.change(partial(label_run, run_id=run_id, name=plan.name, tags=plan.tags))
            self._writer.start_run(
                RunRow(
                    run_id=run_id,
                    suite=plan.suite,
                    created_at=self._now(),
                    model=resources.model.name,
                    config=plan.model_dump(mode="json"),
                    seeds=plan.settings.seeds,
                    git_commit=self._commit,
                    environment=environment,
                ),
                planned,
            )
        self._recorded = True
        if before is not None:
            self._record_changes(before.config.get("settings", {}), plan.settings.model_dump(mode="json"))
        if isinstance(resources.model, Templated):
            self._writer.texts(resources.model.chat_templates)

    def _record_changes(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """With what settings a resumed run goes on, where they are others than it began with."""
        for name, value in now.items():
            if name in before and before[name] != value:
                verb = {"verb": "resume", "who": "eval", "arguments": {"name": name}, "old": before[name], "new": value}
                self.event("resumed", verb)

    def finish(
        self, plan: RunPlan, resources: RunResources, loaded: Sequence[LoadedBenchmark], end: RunEnd
    ) -> RunOutcome:
        """Sums the run up and records its end. Raises StoreError."""
        run_id, reader = self._order.run_id, resources.reader
        figures = {item.plan.name: self.figures_of(plan, reader, item, ended=bool(end.problem)) for item in loaded}
        order = {part.name: number for number, part in enumerate(plan.benchmarks)}
        # The benchmark's own order of metrics: its headline comes first.
        results = tuple(
            r.summed_up(found.metrics, found.lower_bounds, found.missing) if (found := figures.get(r.benchmark)) else r
            for r in sorted(reader.results(run_id), key=lambda r: order.get(r.benchmark, len(order)))
        )
        outcome = RunOutcome(
            run_id=run_id,
            status=RunStatus.COMPLETED,
            model=resources.model.name,
            seconds=time.monotonic() - end.started,
            results=results,
            gates=judge_gates(plan, reader, run_id, results, [(item.plan.name, item.benchmark) for item in loaded]),
            skipped=end.skipped,
            problem=end.problem,
            last_error=end.last_error,
            cost=run_cost(plan.settings.prices, resources.model.name, results),
            sampling_not_set=sampling_not_set(plan.settings.generation_config, resources.model.describe()),
        )
        sanity = Sanity()
        if not end.problem:
            whole = not end.unmade and not end.left_out
            sanity = check_sanity(plan, loaded, results, reader, run_id, whole=whole)
            hints = (*sanity.hints, *infrastructure_hints(reader.error_kinds(run_id), end.made_again))
            outcome = replace(outcome, problem="; ".join(sanity.faults), hints=hints)
            for kind, lines in (("fault", sanity.faults), ("hint", hints)):
                for line in lines:
                    self.event("sanity", {kind: line})
        if end.unmade and not outcome.problem:
            status = RunStatus.INTERRUPTED
        elif outcome.problem or outcome.error_rate > plan.settings.max_error_rate:
            status = RunStatus.FAILED
        else:
            status = RunStatus.COMPLETED
        self._writer.finish_run(
            run_id,
            status,
            self._now(),
            {name: found.metrics for name, found in figures.items()},
            self._environment(resources)  # with the model's restarts and reloads
            | ({"problem": outcome.problem} if outcome.problem else {}),
            lower_bounds={name: found.lower_bounds for name, found in figures.items()},
            missing={name: found.missing for name, found in figures.items()},
        )
        return replace(outcome, status=status, chain=reader.chain_head(run_id))

    def figures_of(
        self, plan: RunPlan, reader: Reader, item: LoadedBenchmark, *, ended: bool = False, again: bool = False
    ) -> Figures:
        """What a benchmark's attempts come to; computed once, and `again` when more of them were made."""
        name = item.plan.name
        if again or name not in self._figures:
            planned = planned_attempts(plan, item, self._order.samples)
            to_come = "the run ended before the others" if ended else "the run was interrupted before the others"
            summaries = reader.summaries(self._order.run_id, name)
            self._figures[name] = sum_up(item.benchmark, summaries, planned, to_come)
        return self._figures[name]

    def look_at_machine(self) -> None:
        """Gathers what is to be recorded of machine and program, some hundredths of a second; in any thread."""
        self._commit = git_commit()
        known = self._commit is not None and not self._commit.endswith("-dirty")
        self._machine = machine_environment() | ({} if known else {"source_sha256": source_sha256()})

    def _environment(self, resources: RunResources) -> dict[str, Any]:
        if not self._machine:
            self.look_at_machine()
        return self._machine | {
            "model": dict(resources.model.describe()),
            "model_traits": model_traits(resources.model),
            "sandbox": dict(resources.sandbox.describe()),
        }


def infrastructure_hints(kinds: Mapping[str, int], made_again: int) -> list[str]:
    """What the infrastructure kept from being measured; nothing of it is a score. `kinds` are counts by `ErrorKind`."""
    lost = {kind: count for kind, count in kinds.items() if ErrorKind(kind).of_infrastructure}
    found: list[str] = []
    if made_again:
        found.append(f"{_attempts(made_again)} made again after errors of the infrastructure")
    if lost:
        listed = ", ".join(f"{kind} {count}" for kind, count in lost.items())
        count = _attempts(sum(lost.values()))
        found.append(f"{count} left out of the scores as errors of the infrastructure: {listed}")
    return found


def _attempts(count: int) -> str:
    return "1 attempt was" if count == 1 else f"{count} attempts were"


def stall_payload(seconds: float, stack: Sequence[str]) -> dict[str, Any]:
    """Of an event of kind `stall`."""
    return {"seconds": round(seconds, 3), "stack": list(stack)}
