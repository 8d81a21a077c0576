"""The memory that all sandbox containers share: who gets some, who waits, and whose idle containers make room."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import os
from typing import Protocol

import psutil

from stackbench.config import SandboxSettings
from stackbench.errors import SandboxError

__all__ = ["IdleHolder", "MemoryBudget", "budget_mib", "default_size", "samples_at_once"]


class IdleHolder(Protocol):
    """Has containers that may be idle."""

    @property
    def for_jobs(self) -> bool:
        """Whether they are for code jobs, not leased."""
        ...

    @property
    def idle_mib(self) -> int:
        """The memory of its idle containers."""
        ...

    def drop_idle(self) -> None:
        """Removes one idle container, whose memory comes back to the budget when it is gone."""
        ...


def budget_mib(settings: SandboxSettings) -> int:
    """The memory of all containers together: as set, else the machine's; one container always fits."""
    machine = psutil.virtual_memory().total >> 20
    return settings.sandbox_budget_mib or max(machine, settings.sandbox_memory_mib, settings.agent_memory_mib)


def default_size(memory_mib: int = 4096) -> int:
    """How many containers at once: one per processor, as far as the machine's memory could fill them all."""
    fitting = (psutil.virtual_memory().total >> 20) // memory_mib
    return max(1, min(os.cpu_count() or 1, fitting))


def samples_at_once(settings: SandboxSettings) -> int:
    """How many containers for samples a run starts with."""
    wanted = settings.sandboxes or default_size(settings.sandbox_memory_mib)
    return max(1, min(wanted, budget_mib(settings) // settings.sandbox_memory_mib))


class MemoryBudget:
    """Counts the memory limits of the containers that exist; `total_mib` None: as much as anybody asks for.

    Code jobs end by themselves; leases end when their holders let go, which may be after a code job. So jobs are
    served first, and leases leave `kept_for_jobs_mib`: a job that is run under a lease never waits for that lease.
    """

    def __init__(self, total_mib: int | None = None) -> None:
        self.total_mib = total_mib
        self.kept_for_jobs_mib = 0
        self._taken = {True: 0, False: 0}
        """By containers for jobs (True) and by leased ones (False)."""
        self._leaving = {True: 0, False: 0}
        """Of them, by containers that are being removed."""
        self._waiting: list[tuple[int, int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._holders: dict[IdleHolder, None] = {}
        """The least recently used first."""

    @property
    def taken_mib(self) -> int:
        """By all containers that exist or are being made."""
        return self._taken[True] + self._taken[False]

    # -- those with idle containers

    def used(self, holder: IdleHolder) -> None:
        """Makes a holder the most recently used one."""
        self._holders.pop(holder, None)
        self._holders[holder] = None

    def forget(self, holder: IdleHolder) -> None:
        """The holder has closed."""
        self._holders.pop(holder, None)

    def became_idle(self) -> None:
        """A container became idle; whoever waits may have its memory."""
        if self._waiting:
            self._serve()

    # -- taking and giving back

    def can_take(self, memory_mib: int, *, for_jobs: bool) -> bool:
        """Whether so much is free or held by idle containers, beside what others wait for."""
        if self.total_mib is None:
            return True
        ahead = sum(wanted for _, _, wanted, given in self._waiting if not given.done())
        return self._in_reach(memory_mib + ahead, for_jobs=for_jobs)

    def take_free(self, memory_mib: int, *, for_jobs: bool) -> bool:
        """Takes so much where it is free at once and nobody waits; returns whether it did."""
        if self._waiting or any(lack > 0 for lack in self._lacking(memory_mib, for_jobs=for_jobs)):
            return False
        self._taken[for_jobs] += memory_mib
        return True

    async def take(self, memory_mib: int, *, for_jobs: bool) -> None:
        """Takes so much, to be given back with `release`; waits for it, and has idle containers removed for it.

        Raises:
            SandboxError: it is more than the whole budget.
        """
        if self.total_mib is not None and memory_mib > self.total_mib:
            raise SandboxError(
                f"a sandbox of {memory_mib} MiB does not fit the budget of {self.total_mib} MiB for all sandboxes; "
                "set sandbox_budget_mib higher, or less memory for the sandbox"
            )
        if self.take_free(memory_mib, for_jobs=for_jobs):
            return
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (0 if for_jobs else 1, next(self._order), memory_mib, given))
        self._serve()
        try:
            await given
        except asyncio.CancelledError:
            if given.done() and not given.cancelled():
                self.release(memory_mib, for_jobs=for_jobs)
            else:
                self._serve()
            raise

    def leaving(self, memory_mib: int, *, for_jobs: bool) -> None:
        """The removal of a container has begun."""
        self._leaving[for_jobs] += memory_mib

    def left(self, memory_mib: int, *, for_jobs: bool) -> None:
        """The removal of a container has ended."""
        self._leaving[for_jobs] -= memory_mib
        self.release(memory_mib, for_jobs=for_jobs)

    def release(self, memory_mib: int, *, for_jobs: bool) -> None:
        """Gives back what no container uses."""
        self._taken[for_jobs] -= memory_mib
        self._serve()

    def _lacking(self, memory_mib: int, *, for_jobs: bool) -> tuple[int, int]:
        """How much must come free before so much can be taken: of all containers, and of leased ones."""
        if self.total_mib is None:
            return 0, 0
        lacking = self.taken_mib + memory_mib - self.total_mib
        for_leases = self.total_mib - self.kept_for_jobs_mib
        if for_jobs or memory_mib > for_leases:
            return lacking, 0
        return lacking, self._taken[False] + memory_mib - for_leases

    def _in_reach(self, memory_mib: int, *, for_jobs: bool) -> bool:
        """Whether so much is free when containers that are idle, or being removed, are gone."""
        lacking, lacking_of_leases = self._lacking(memory_mib, for_jobs=for_jobs)
        coming = dict(self._leaving)
        for holder in self._holders:
            coming[holder.for_jobs] += holder.idle_mib
        return lacking <= coming[True] + coming[False] and lacking_of_leases <= coming[False]

    def _serve(self) -> None:
        while self._waiting:
            rank, _, memory_mib, given = self._waiting[0]
            for_jobs = rank == 0
            if not given.done():
                if any(lack > 0 for lack in self._lacking(memory_mib, for_jobs=for_jobs)):
                    if self._in_reach(memory_mib, for_jobs=for_jobs):
                        self._make_room(memory_mib, for_jobs=for_jobs)
                    return
                self._taken[for_jobs] += memory_mib
                given.set_result(None)
            heapq.heappop(self._waiting)

    def _make_room(self, memory_mib: int, *, for_jobs: bool) -> None:
        """Has idle containers removed, those of the least recently used holder first, until enough is on its way."""
        lacking, lacking_of_leases = self._lacking(memory_mib, for_jobs=for_jobs)
        holders = list(self._holders)
        for holder in holders:
            while not holder.for_jobs and holder.idle_mib and self._leaving[False] < lacking_of_leases:
                holder.drop_idle()
        for holder in holders:
            while holder.idle_mib and self._leaving[True] + self._leaving[False] < lacking:
                holder.drop_idle()
