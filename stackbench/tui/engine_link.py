"""The screens' connection to one home: its engine while one serves it, its closed database otherwise."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import subprocess
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeVar

from stackbench.config import Home
from stackbench.control.answers import QueuedRun, RunningAttempt, RunNow, WhyNow
from stackbench.control.client import EngineClient, connect
from stackbench.control.verbs import VERBS
from stackbench.errors import EngineUnreachableError, StackbenchError, StoreError

if TYPE_CHECKING:
    from stackbench.store import LocalQueries, Queries, RemoteQueries

__all__ = ["EngineLink", "EngineNow", "EngineState", "Submission"]

T = TypeVar("T")
READERS = 3
CLOSE_AFTER_S = 0.5
"""A closed database is let go of so soon after the last read: an engine that starts must be able to open it."""
ANSWER_WITHIN_S = 30.0
ENGINE_WITHIN_S = 60.0
LOOK_EVERY_S = 0.1
LOG_SHOWN = 4000

HUNG_AFTER_S = 10.0

EngineState = Literal["live", "none", "busy", "dead", "stopped", "hung"]
"""`busy`: it starts, or does not answer yet; `dead`: it was killed and has left its trace; `stopped` and `hung`: it
lives and does not answer."""


@dataclass(frozen=True, slots=True)
class EngineNow:
    """The home's engine."""

    state: EngineState
    pid: int | None = None
    runs: tuple[QueuedRun, ...] = ()
    """Live and queued, in their order."""
    last_run: str | None = None
    """Of an engine that does not answer: the run that it was at."""
    last_attempts: tuple[RunningAttempt, ...] = ()
    """Of such an engine: what it had under way."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A run for an engine to carry out."""

    run_id: str
    plan: dict[str, Any]
    """JSON of a RunPlan."""
    resume: bool = False
    """Whether the run is recorded already and is to be finished."""


class EngineLink:
    """Belongs to one event loop. Reads happen in threads, so that no screen waits for them."""

    def __init__(self, home: Home, client: str = "tui") -> None:
        self.home = home
        self.client = client
        """How this program calls itself."""
        self.who = f"{client} ({_user()})"
        """As the operator's record names us."""
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="reads")
        self._idle: list[Queries] = []
        """Connections to the engine that nobody reads through."""
        self._lock = threading.Lock()
        self._queries: set[LocalQueries | RemoteQueries] = set()
        """Connections of users' statements under way."""
        self._local: LocalQueries | None = None
        """The closed database, opened once: DuckDB shares one instance in a process."""
        self._file = threading.Condition()
        self._readers = 0
        """Reads of the closed database under way, each through a connection of its own: no page of a list waits for a
        sum over all attempts."""
        self._client: EngineClient | None = None
        self._connecting = asyncio.Lock()
        self._closing: asyncio.TimerHandle | None = None
        self._closed = False
        self._started: list[subprocess.Popen[bytes]] = []

    async def close(self) -> None:
        """Leaves the engine alone and lets go of everything else."""
        self._closed = True
        if self._closing is not None:
            self._closing.cancel()
        if self._client is not None:
            await self._client.close()
        await asyncio.to_thread(self._let_go)
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in self._started:
            process.returncode = process.poll() or 0  # it goes on without us: nothing to warn of

    # -- reading

    async def read(self, work: Callable[[Queries], T]) -> T:
        """Typed reads of the store, in a thread; of the engine where one is live.

        Raises:
            StoreError: neither the engine nor the file can be had.
            UsageError: what is asked for is not there.
        """
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, self._read, work)
        finally:
            self._close_soon(loop)

    @property
    def has_database(self) -> bool:
        """Whether anything was ever run in this home."""
        return self.home.database.exists()

    @property
    def written(self) -> int:
        """When the database was written last, in nanoseconds; 0 where there is none."""
        try:
            return self.home.database.stat().st_mtime_ns
        except OSError:
            return 0

    def _read(self, work: Callable[[Queries], T]) -> T:
        from stackbench.store import LocalQueries

        for _ in range(2):
            with self._lock:
                queries = self._idle.pop() if self._idle else None
            if queries is None:
                with self._file:
                    queries = self._local or self._open()
                    if isinstance(queries, LocalQueries):
                        self._local = queries
                        queries = queries.beside()
                        self._readers += 1
                if isinstance(queries, LocalQueries):
                    return self._read_closed(queries, work)
            try:
                result = work(queries)
            except StoreError:
                queries.close()  # the engine has ended meanwhile: what there is now answers
                continue
            except BaseException:
                self._give_back(queries)
                raise
            self._give_back(queries)
            return result
        raise StoreError("the engine ended before it answered; try again")

    def _read_closed(self, queries: LocalQueries, work: Callable[[Queries], T]) -> T:
        try:
            return work(queries)
        finally:
            queries.close()
            with self._file:
                self._readers -= 1
                self._file.notify_all()

    def _open(self) -> LocalQueries | RemoteQueries:
        from stackbench.store import open_queries

        return open_queries(self.home.database, self.home.socket)

    def _give_back(self, queries: Queries) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(queries)
                return
        queries.close()  # the screens were left while it read

    def _close_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._closing is not None:
            self._closing.cancel()
        if not self._closed:
            self._closing = loop.call_later(CLOSE_AFTER_S, loop.run_in_executor, self._pool, self._let_go)

    def _let_go(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for queries in idle:
            with contextlib.suppress(OSError):
                queries.close()
        with self._file:
            self._close_local()

    def _close_local(self) -> None:
        """The caller holds the file's lock; reads are waited for. A user's query that is under way keeps it open."""
        self._file.wait_for(lambda: self._readers == 0)
        if self._local is not None and not self._queries:
            self._local.close()
            self._local = None

    # -- the engine

    async def engine(self) -> EngineNow:
        """Whether an engine serves the home, and what it is at."""
        try:
            client = await self._connected()
            runs = await client.command("runs", within_s=ANSWER_WITHIN_S)
            return EngineNow("live", client.welcome.pid, tuple(QueuedRun.model_validate(run) for run in runs))
        except EngineUnreachableError:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._absent)

    async def command(self, verb: str, **arguments: Any) -> Any:
        """Carries a verb out.

        Raises:
            UsageError: the engine refused it.
            EngineUnreachableError: no engine answers.
        """
        client = await self._connected()
        within_s = VERBS[verb].within_s if verb in VERBS else ANSWER_WITHIN_S
        return await client.command(verb, who=self.who, within_s=within_s, **arguments)

    async def status(self) -> RunNow:
        """The live run. Raises as `command`."""
        return RunNow.model_validate(await self.command("status"))

    async def why(self) -> WhyNow:
        """What the live run's attempts wait for. Raises as `command`."""
        return WhyNow.model_validate(await self.command("why"))

    async def query(self, sql: str, to: BinaryIO, format: str = "table", most_rows: int | None = None) -> None:
        """Writes the rendered rows of a user's statement, which only reads; being cancelled ends the statement.

        Other reads go on beside it. Raises UsageError and StoreError.
        """
        queries = await asyncio.to_thread(self._open_beside)
        done = asyncio.ensure_future(asyncio.to_thread(queries.user_query, sql, format, to, most_rows))
        try:
            await asyncio.shield(done)
        finally:
            while not done.done():
                queries.interrupt()  # again and again: before a query has begun there is nothing to interrupt
                await asyncio.wait({done}, timeout=LOOK_EVERY_S)
            done.exception()
            with contextlib.suppress(OSError):
                queries.close()
            self._queries.discard(queries)
            self._close_soon(asyncio.get_running_loop())

    def _open_beside(self) -> LocalQueries | RemoteQueries:
        """A connection that nothing else reads through."""
        from stackbench.store import LocalQueries

        with self._file:
            opened = self._local or self._open()
            if isinstance(opened, LocalQueries):
                self._local = opened
                opened = opened.beside()
            self._queries.add(opened)
            return opened

    async def _end_queries(self) -> None:
        """A database that is read here cannot be opened for writing."""
        while self._queries:
            for queries in set(self._queries):
                queries.interrupt()
            await asyncio.sleep(LOOK_EVERY_S)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[EngineClient]:
        """A connection of one's own, to subscribe to events. Raises EngineUnreachableError."""
        client = await connect(self.home.socket, self.client)
        try:
            yield client
        finally:
            await client.close()

    async def submit(self, run: Submission) -> str:
        """Has a run carried out by the live engine, or by one that is started and outlives this program; its id.

        Raises:
            UsageError: the engine refused the run.
            StackbenchError: no engine could be started; its own words.
        """
        try:
            client = await self._connected()
        except EngineUnreachableError:
            await self._start(run)
            return run.run_id
        resume = run.run_id if run.resume else None
        submitted = await client.command(
            "submit", who=self.who, within_s=ANSWER_WITHIN_S, plan=run.plan, resume=resume, run_id=run.run_id
        )
        return str(submitted["run_id"])

    async def delete(self, run_id: str) -> None:
        """Takes a run that has ended out of the home.

        Raises:
            UsageError: it is live or queued.
            StackbenchError: the database cannot be written.
        """
        from stackbench.engine.deletion import remove_run

        await remove_run(self.home, run_id, who=self.who, alone=self._alone)

    async def _alone(self, work: Callable[[], None]) -> None:
        """With no read under way: DuckDB opens a file of this process's either for reading or for writing."""
        await self._end_queries()
        await asyncio.to_thread(self._with_file, work)

    def _with_file(self, work: Callable[[], None]) -> None:
        with self._file:
            self._close_local()
            work()

    async def _start(self, run: Submission) -> None:
        from stackbench.engine.detached import engine_log, start_engine

        await self._end_queries()
        await asyncio.to_thread(self._let_go)
        log = engine_log(self.home, run.run_id)
        before = log.stat().st_size if log.exists() else 0
        order = {"run_id": run.run_id, "plan": run.plan, "resume": run.resume}
        process = await asyncio.to_thread(start_engine, self.home, [order])
        self._started.append(process)
        try:
            async with asyncio.timeout(ENGINE_WITHIN_S):
                while True:
                    with contextlib.suppress(EngineUnreachableError):
                        await self._connected()
                        return
                    if process.poll() is not None:
                        raise StackbenchError(f"the engine ended as it started: {_last_line(log, before)}")
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError as error:
            raise StackbenchError(f"the engine cannot be reached; see {log}") from error

    async def _connected(self) -> EngineClient:
        async with self._connecting:
            if self._client is not None and self._client.alive:
                return self._client
            if self._client is not None:
                await self._client.close()
                self._client = None
            if not self.home.socket.exists():
                raise EngineUnreachableError(f"no engine serves {self.home.path}")
            self._client = await connect(self.home.socket, self.client)
            return self._client

    def _absent(self) -> EngineNow:
        """What the lock and the trace tell of an engine that does not answer."""
        if not self.home.trace.exists():  # of most homes: spares the half second that the engine's modules take
            return EngineNow("none")
        from stackbench.engine.home_lock import holder_of
        from stackbench.engine.trace_file import read_trace

        trace = read_trace(self.home.trace)
        holder = holder_of(self.home.lock)
        if holder is None and trace is None:
            return EngineNow("none")  # it has just ended in order
        last_run, attempts = None, ()
        if trace is not None:
            last_run = trace.content.get("run_id")
            attempts = tuple(RunningAttempt.model_validate(one) for one in trace.content.get("attempts", ()))
        if holder is None:
            return EngineNow("dead", trace.pid if trace else None, (), last_run, attempts)
        hung = trace is not None and max(trace.age_s, trace.loop_stalled_s) > HUNG_AFTER_S
        state: EngineState = "stopped" if holder.stopped else "hung" if hung else "busy"
        return EngineNow(state, holder.pid, (), last_run, attempts)


def _last_line(log: Path, before: int) -> str:
    """What a process said last in its log."""
    try:
        with log.open("rb") as file:
            file.seek(before)
            lines = file.read(LOG_SHOWN).decode(errors="replace").split("\n")
    except OSError:
        lines = []
    said = [line.removeprefix("stackbench: error: ") for line in lines if line.strip()]
    return said[-1] if said else f"see {log}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown user"
