"""An engine's socket with the real database behind it, whose live run does what a test says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from stackbench.config import Home
from stackbench.control.messages import AttemptRef, Command, OperatorAction, Welcome
from stackbench.control.verbs import arguments_of
from stackbench.engine.control_server import ControlServer
from stackbench.engine.event_stream import EventStream
from stackbench.engine.query_pool import QueryPool
from stackbench.errors import UsageError
from stackbench.store import Writer

__all__ = ["ScriptedEngine", "ref", "scripted_engine"]


def ref(task: str = "HumanEval/0", *, benchmark: str = "humaneval", attempt: int = 0) -> AttemptRef:
    return AttemptRef(benchmark=benchmark, task_id=task, attempt=attempt, seed=0)


class ScriptedEngine:
    """Implements the server's `Door`. `commands` holds what was asked beside looking."""

    def __init__(self, home: Home, run_id: str, *, clock: float) -> None:
        self.home = home
        self.run_id = run_id
        self.stream = EventStream(lambda: clock)
        self.writer = Writer(home.database)
        self.commands: list[tuple[str, dict[str, Any]]] = []
        self.phase = "running"
        self.model = "openai:coder-7b@http://127.0.0.1:8000/v1"
        self.benchmarks: list[dict[str, Any]] = [
            {"benchmark": "humaneval", "total": 164, "before": 0, "done": 6, "passed": 6, "tokens": 90, "queued": 154,
             "running": 4, "errors": 0, "cancelled": 0}
        ]  # fmt: skip
        self.attempts: list[dict[str, Any]] = []
        self.queued: list[dict[str, Any]] = []
        self.concurrency = 8
        self.live = True
        self.agents: list[dict[str, Any]] = []
        self.transcript: list[tuple[str, dict[str, Any]]] = []
        """Of every agent."""
        self.files: dict[str, str] = {}
        """Of every agent's sandbox, by path."""
        self.shell_result: dict[str, Any] = {"exit_code": 0, "ended": "exited", "seconds": 0.1, "output": "done\n",
                                             "folder": "/workspace"}  # fmt: skip
        self._pool = QueryPool(self.writer)
        self._server = ControlServer(home.socket, self, self.stream)

    async def start(self) -> None:
        assert await self._server.start() is None

    async def stop(self) -> None:
        await self._server.close()
        self._pool.close()
        self.writer.close()

    def publish(self, *events: Any) -> None:
        for event in events:
            self.stream.publish(self.run_id, event)

    def welcome(self) -> Welcome:
        return Welcome(version="1", pid=4711, home=str(self.home.path), started_at="t", seq=self.stream.next_seq)

    def result(
        self, sql: str, format: str, parameters: Sequence[Any] = (), most_rows: int | None = None
    ) -> AbstractAsyncContextManager[Path]:
        return self._pool.result(sql, format, parameters, most_rows)

    async def command(self, command: Command) -> Any:
        given = dict(command.arguments)
        if command.verb in ("submit", "delete"):
            self.commands.append((command.verb, given))
            return {"run_id": given.get("run_id") or given.get("resume"), "position": 0}
        given.pop("run", None)
        arguments = arguments_of(command.verb, given)
        if command.verb == "runs":
            return self._runs()
        if not self.live:
            raise UsageError("no run is live")
        if command.verb == "status":
            return self._status()
        if command.verb in ("agents", "transcript", "files", "read"):
            return self._look_at_agent(command.verb, arguments)
        if command.verb == "why":
            return {"run_id": self.run_id, "phase": self.phase, "attempts": self.attempts}
        self.commands.append((command.verb, arguments))
        old, self.phase = self.phase, {"pause": "paused", "resume": "running"}.get(command.verb, self.phase)
        new = arguments.get("value", self.phase)
        if command.verb in ("approve", "reject", "edit") and not any(agent["calls"] for agent in self.agents):
            raise UsageError("no call waits for the operator")
        self.publish(OperatorAction(verb=command.verb, who=command.who, arguments=arguments, old=old, new=new))
        return {"verb": command.verb, "run_id": self.run_id, "old": old, "new": new, "changed": True, "dry_run": False,
                "result": self.shell_result}  # fmt: skip

    def _look_at_agent(self, verb: str, arguments: dict[str, Any]) -> Any:
        if verb == "agents":
            return [{**agent, "events": len(self.transcript)} for agent in self.agents]
        if verb == "transcript":
            since = int(arguments.get("since", 0))
            steps = [{"kind": kind, "ts": "t", "payload": payload} for kind, payload in self.transcript[since:]]
            return {"since": since, "next": len(self.transcript), "total": len(self.transcript), "steps": steps}
        path = str(arguments.get("path") or ".")
        if verb == "read":
            return {"path": path, "size": len(self.files[path]), "text": self.files[path]}
        inside = "" if path == "." else f"{path}/"
        names = sorted({name.removeprefix(inside).partition("/")[0] for name in self.files if name.startswith(inside)})
        if not names:
            raise UsageError(f"files: {path}: No such file or directory")
        entries = [
            {"name": name, "kind": "file" if f"{inside}{name}" in self.files else "directory",
             "size": len(self.files.get(f"{inside}{name}", "")), "mode": 0o644}
            for name in names
        ]  # fmt: skip
        return {"path": path, "entries": entries}

    def _runs(self) -> list[dict[str, Any]]:
        run = {"run_id": self.run_id, "state": "running", "phase": self.phase, "suite": "eval", "model": self.model,
               "benchmarks": ["humaneval"]}  # fmt: skip
        return [*([run] if self.live else []), *self.queued]

    def _status(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id, "suite": "eval", "model": self.model, "phase": self.phase,
            "benchmarks": self.benchmarks, "slots": {"size": self.concurrency, "taken": 4},
            "settings": {"concurrency": self.concurrency, "sandboxes": 2, "timeout": None, "max-hours": None},
            "last_error": "", "calls_to_approve": [], "next_seq": self.stream.next_seq,
        }  # fmt: skip


@asynccontextmanager
async def scripted_engine(home: Home, run_id: str, *, clock: float) -> AsyncIterator[ScriptedEngine]:
    engine = ScriptedEngine(home, run_id, clock=clock)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()
