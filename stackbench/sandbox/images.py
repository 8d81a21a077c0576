"""The images that a run's containers are made from: each is found, pulled or built once, whoever asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from stackbench.sandbox.image import ensure_image, pull_image

__all__ = ["Images"]

Say = Callable[[str], None]


class Images:
    """`ready` shares one pull or build of an image among all who ask meanwhile."""

    def __init__(self, say: Say, *, own: Callable[[Say], str] = ensure_image) -> None:
        self._say = say
        self._own = own
        self._tasks: dict[str | None, asyncio.Task[str]] = {}

    async def ready(self, image: str | None = None, make: Callable[[Say], str] | None = None) -> str:
        """The name of an image that is there (None: stackbench's own).

        `make` pulls or builds it, in a thread, and returns its name; unset: it is pulled where it is not there. A
        failure is raised for all who wait for it; who asks later tries again.

        Raises:
            DockerNotAvailableError: no Docker engine answers.
            SandboxError: the image can be neither pulled nor built.
        """
        task = self._tasks.get(image)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._tasks[image] = asyncio.create_task(asyncio.to_thread(self._make, image, make))
        return await asyncio.shield(task)

    def close(self) -> None:
        """Whoever waits for an image is let go."""
        for task in self._tasks.values():
            task.cancel()

    def _make(self, image: str | None, make: Callable[[Say], str] | None) -> str:
        if make is not None:
            return make(self._say)
        return self._own(self._say) if image is None else pull_image(image, self._say)
