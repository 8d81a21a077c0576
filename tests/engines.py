"""One run on an engine of its own, in this process, as most tests of runs need it."""

from __future__ import annotations

from collections.abc import Callable

from stackbench.config import Home
from stackbench.control.messages import EventKind
from stackbench.engine import EngineService, RunOutcome, RunPlan, SampleFile, SubmittedRun

__all__ = ["OneRun"]


class OneRun:
    """`listener` is told each event; `stop` may be called from it."""

    def __init__(
        self,
        home: Home,
        plan: RunPlan,
        listener: Callable[[EventKind], None] = lambda event: None,
        *,
        resume: str | None = None,
        samples: SampleFile | None = None,
    ) -> None:
        self.home = home
        self.plan = plan
        self.listener = listener
        self._resume = resume
        self._samples = samples
        self._run: SubmittedRun | None = None
        self._stopped = False

    @property
    def stopping(self) -> bool:
        return self._stopped

    def stop(self) -> None:
        self._stopped = True
        if self._run is not None:
            self._run.stop()

    async def run(self) -> RunOutcome:
        async with EngineService(self.home, listener=lambda run_id, event: self.listener(event)) as service:
            self._run = service.submit(self.plan, resume=self._resume, samples=self._samples)
            if self._stopped:
                self._run.stop()
            try:
                return await self._run.outcome()
            finally:
                if self._run.execution is not None:
                    self.plan = self._run.execution.plan
