"""A Ray cluster as the engine sees it: its nodes, and one actor on each, which Ray places, names and keeps running."""

# ray's decorators and options are typed in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import socket
import threading
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, TypeVar

from stackbench.engine.node import Node, NodeOrder
from stackbench.errors import StackbenchError, UsageError, one_line
from stackbench.extras import install_command

__all__ = ["ClusterNode", "NodeLostError", "NodeRestartingError", "RayCluster"]

T = TypeVar("T")

ORPHANED_AFTER_S = 900.0
"""A node that no engine asks for so long ends itself and frees what it holds."""
LOOKS_EVERY_S = 15.0
CLOSES_WITHIN_S = 30.0
CONNECTS_WITHIN_S = 5.0
AT_ONCE = 64
"""Calls of an actor that are carried out side by side: giving is not to wait for taking."""


class NodeLostError(StackbenchError):
    """A node, or our process on it, is gone."""


class NodeRestartingError(StackbenchError):
    """Our process on a node has ended; Ray starts it again."""


@dataclass(frozen=True, slots=True)
class ClusterNode:
    """A machine of the cluster."""

    node_id: str
    host: str
    processors: int
    gpus: int


class RayCluster:
    """Connected from `connect` to `close`. Methods block and are called from threads, except those that are awaited."""

    def __init__(self, address: str | None, home: str) -> None:
        self._address = address or "auto"
        self._namespace = f"stackbench-{hashlib.sha256(home.encode()).hexdigest()[:12]}"
        """One home, one engine: what has a name in here is of an engine before this one, or ours."""

    def connect(self) -> None:
        """Raises UsageError where Ray is not installed, or no cluster answers."""
        os.environ.setdefault("RAY_DISABLE_FAILURE_SIGNAL_HANDLER", "1")  # it prints a stack where SIGTERM stops a run
        try:
            import ray
        except ImportError as error:
            raise UsageError(f'--executor ray needs Ray; install it with "{install_command("ray")}"') from error
        address = self._address
        if address.startswith("ray://"):
            raise UsageError(
                f"--address {address} is for clients outside of a cluster, and the engine is a part of it: run "
                "stackbench on one of its machines and give the head's HOST:6379, or leave --address out"
            )
        if address not in ("auto", "local"):
            _check_answers(address)
        if address == "local":
            raise UsageError("--address local would start a cluster of this machine alone; use --executor local")
        logging.getLogger("ray").setLevel(logging.ERROR)
        # raylets' reports are printed on standard output too, which is for results; Ray's debugger uses this switch
        ray._private.worker._worker_logs_enabled = False  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage, reportAttributeAccessIssue]
        try:
            ray.init(
                address=address,
                namespace=self._namespace,
                log_to_driver=False,
                configure_logging=False,
                logging_level=logging.ERROR,
                ignore_reinit_error=True,
            )
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            raise UsageError(
                'no Ray cluster runs on this machine; start one with "ray start --head", or name one with --address'
                if address == "auto"
                else f"the Ray cluster at {address} cannot be joined: {one_line(error)}"
            ) from error

    def nodes(self) -> list[ClusterNode]:
        """The machines that are alive and have processors to give."""
        import ray

        found: list[ClusterNode] = []
        for row in ray.nodes():
            resources = row.get("Resources", {})
            if row.get("Alive") and resources.get("CPU", 0) >= 1:
                host = str(row.get("NodeManagerHostname") or row.get("NodeManagerAddress"))
                found.append(ClusterNode(row["NodeID"], host, int(resources["CPU"]), int(resources.get("GPU", 0))))
        return found

    def place(self, node: ClusterNode, order: NodeOrder) -> Any:
        """Our actor on a node: the one that an earlier engine of this home left for the same order, or a new one.

        It takes all of the node's processors and GPUs, so that nothing else of the cluster runs beside measurements.
        It outlives this process, and Ray starts it again where it dies.
        """
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return (
            ray.remote(_RayNode)
            .options(
                name=_name(node, order),
                get_if_exists=True,
                lifetime="detached",
                max_restarts=-1,
                max_concurrency=AT_ONCE,
                num_cpus=node.processors,
                num_gpus=node.gpus,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node.node_id, soft=False),
            )
            .remote(order)
        )

    async def end_others(self, order: NodeOrder) -> int:
        """Ends the actors that engines of this home left for other orders; how many."""
        import ray
        from ray.util import list_named_actors

        ours = f"{_order_id(order)}@"
        left = [name for name in await asyncio.to_thread(list_named_actors) if not name.startswith(ours)]
        for name in left:
            with contextlib.suppress(ValueError):
                await self.end(await asyncio.to_thread(ray.get_actor, name))
        return len(left)

    async def end(self, actor: Any) -> None:
        """Has an actor free what it holds, and ends its process."""
        import ray
        from ray.exceptions import RayError

        with contextlib.suppress(RayError, TimeoutError):
            await asyncio.wait_for(actor.close.remote(), CLOSES_WITHIN_S)
        with contextlib.suppress(RayError, ValueError):
            await asyncio.to_thread(ray.kill, actor, no_restart=True)

    async def answer(self, asked: Awaitable[T]) -> T:
        """What a node answers.

        Raises:
            NodeLostError, NodeRestartingError: it does not.
            StackbenchError: the node's own.
        """
        from ray.exceptions import ActorUnavailableError, RayActorError, RayError, RayTaskError

        try:
            return await asked
        except RayTaskError as error:
            cause = error.cause
            if isinstance(cause, StackbenchError):
                raise cause from None
            raise NodeLostError(f"fault in stackbench on the node: {one_line(repr(cause))}") from error
        except ActorUnavailableError as error:
            raise NodeRestartingError(one_line(error)) from error
        except RayActorError as error:
            raise NodeLostError(one_line(str(error).partition("\n")[0])) from error
        except RayError as error:  # the actor cannot be placed, or its constructor cannot be loaded there
            raise NodeLostError(one_line(str(error).partition("\n")[0])) from error

    def close(self) -> None:
        """Leaves the cluster."""
        import ray

        ray.shutdown()


def _name(node: ClusterNode, order: NodeOrder) -> str:
    return f"{_order_id(order)}@{node.node_id}"


def _order_id(order: NodeOrder) -> str:
    text = f"{order.plan.model_dump_json()} {sorted(order.task_ids.items())} {order.version}"
    return f"{order.run_id}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _check_answers(address: str) -> None:
    """Ray itself waits for a minute, then ends the process."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise UsageError(f'--address {address}: give the HOST:PORT of the cluster\'s head, as "ray start" printed it')
    try:
        with socket.create_connection((host.strip("[]"), int(port)), CONNECTS_WITHIN_S):
            return
    except (OSError, OverflowError) as error:
        raise UsageError(
            f'no Ray cluster answers at {address} ({one_line(error)}); start one with "ray start --head"'
        ) from error


class _RayNode(Node):
    """A node in a process of Ray's; ends itself when no engine asks for it any more."""

    def __init__(self, order: NodeOrder) -> None:
        super().__init__(order)
        self._gone = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        threading.Thread(target=self._end_when_orphaned, name="orphan-watch", daemon=True).start()

    async def start(self) -> Any:
        self._loop = asyncio.get_running_loop()
        return await super().start()

    def _end_when_orphaned(self) -> None:
        import ray

        while self.unasked_s < ORPHANED_AFTER_S:
            self._gone.wait(LOOKS_EVERY_S)
        if self._loop is not None:
            with contextlib.suppress(Exception):
                asyncio.run_coroutine_threadsafe(self.close(), self._loop).result(CLOSES_WITHIN_S)
        ray.kill(ray.get_runtime_context().current_actor, no_restart=True)
