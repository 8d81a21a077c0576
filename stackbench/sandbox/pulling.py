"""Pulls an image from a registry that may ask to be left alone for a while (status 429)."""

# docker has partial types.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from stackbench.errors import ErrorKind, ImageError, one_line

if TYPE_CHECKING:
    import docker

__all__ = ["pull_patiently"]

TRIES = 6
FIRST_PAUSE_S = 15.0
REFUSALS = ("toomanyrequests", "429", "rate limit")


def pull_patiently(
    client: docker.DockerClient,
    name: str,
    say: Callable[[str], None],
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Pulls an image; where the registry has had too many requests, waits twice as long each time.

    Raises:
        ImageError: it cannot be pulled.
    """
    from docker.errors import DockerException

    say(f"pulling {name}")
    for turn in range(TRIES):
        try:
            client.images.pull(name)
            return
        except DockerException as error:
            asked_too_often = any(word in str(error).lower() for word in REFUSALS)
            if not asked_too_often or turn == TRIES - 1:
                raise ImageError(
                    f"the image {name} is not there and cannot be pulled: {one_line(error, 160)}",
                    kind=ErrorKind.IMAGE_PULL,
                ) from error
            wait_s = FIRST_PAUSE_S * 2**turn
            say(f"the registry has had too many requests; pulling {name} again in {wait_s:.0f} s")
            pause(wait_s)
