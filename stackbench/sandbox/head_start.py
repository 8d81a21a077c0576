"""Containers for samples that are launched while the rest of the program still loads."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

from stackbench.sandbox.bundle import bundle, frame_bytes
from stackbench.sandbox.docker import connect
from stackbench.sandbox.launch import Launched, launch
from stackbench.sandbox.spec import SandboxSpec

if TYPE_CHECKING:
    import docker

__all__ = ["HeadStart"]

SENT_WITHIN_S = 10.0
UNAWAITED = 0
"""The number of a frame whose answer nobody waits for."""


class HeadStart:
    """Launches containers for samples in a thread of its own while the program still loads, and has them get ready.

    Unclaimed ones are removed.
    """

    def __init__(self, spec: SandboxSpec, count: int) -> None:
        import_module("docker")  # before the rest of the program loads: beside it, this takes three times as long
        self.spec = spec
        self._futures: list[Future[Launched]] = [Future() for _ in range(count)]
        self._left = list(self._futures)
        self._client: docker.DockerClient | None = None
        self.found: Future[bool] = Future()
        """Whether the engine answers and has the image; otherwise every launch has failed."""
        self._threads = [threading.Thread(target=self._run, daemon=True, name="head-start")]
        self._threads[0].start()

    def take(self) -> Future[Launched] | None:
        """The next launch, perhaps still under way; None when all are taken."""
        return self._left.pop(0) if self._left else None

    def close(self) -> None:
        """Lets go of the engine and of what nobody took."""
        while (future := self.take()) is not None:
            future.add_done_callback(_discard)
        if self._client is not None:
            self._client.close()

    def _run(self) -> None:
        try:
            client = self._client = connect()
            client.images.get(self.spec.image or "")
        except BaseException as error:  # whoever takes a launch gets the error, and then goes the usual way
            self.found.set_result(False)
            for future in self._futures:
                future.set_exception(error)
            return
        self.found.set_result(True)
        for future in self._futures[1:]:
            thread = threading.Thread(target=self._launch, args=(client, future), daemon=True, name="head-start")
            try:
                thread.start()
            except RuntimeError as error:  # no more threads: whoever waits for this one goes the usual way
                future.set_exception(error)
        self._launch(client, self._futures[0])

    def _launch(self, client: docker.DockerClient, future: Future[Launched]) -> None:
        try:
            future.set_result(_send_program(launch(client, self.spec)))
        except BaseException as error:
            future.set_exception(error)


def _send_program(launched: Launched) -> Launched:
    """Sends the program, and that samples will come; whoever takes the container waits for the answers."""
    stream = launched.stream
    stream.settimeout(SENT_WITHIN_S)
    try:
        stream.sendall(bundle() + frame_bytes({"op": "prepare", "id": UNAWAITED}))
    except OSError:
        stream.close()
        raise
    stream.setblocking(False)
    return replace(launched, program_sent=True)


def _discard(future: Future[Launched]) -> None:
    if future.exception() is None:
        future.result().stream.close()  # at which it ends; the engine removes it then
