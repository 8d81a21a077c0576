"""The sandbox image: found, pulled, or made from a debootstrap tree, under a tag that names its content."""

# docker has partial types.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import closing
from typing import IO, TYPE_CHECKING

from stackbench.errors import ErrorKind, ImageError, SandboxError, one_line
from stackbench.sandbox.docker import connect

if TYPE_CHECKING:
    import docker

__all__ = ["build_image", "ensure_image", "find_image", "image_tag", "pull_image"]

REPOSITORY = "stackbench-sandbox"
# The registry's image first; where no registry is reached, the same distribution from its package archive. Either way
# the same packages of the same release are in it.
BASE = "debian:bookworm-slim"
SUITE = "bookworm"
PACKAGES = "python3,git,ca-certificates,curl,procps"
RECIPE = f"v2 {BASE} {SUITE} {PACKAGES}"
DOCKERFILE = """\
FROM {base}
RUN apt-get update -qq \\
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends {packages} \\
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb
"""
LABELS = {"stackbench": "image"}

Say = Callable[[str], None]


def image_tag(base: str | None = None) -> str:
    """The tag of the image made from a base (or from the default recipe): the recipe's hash is in it."""
    return f"{REPOSITORY}:{hashlib.sha256((base or RECIPE).encode()).hexdigest()[:12]}"


def ensure_image(say: Say) -> str:
    """The sandbox image's tag, building the image where it is not there.

    Raises:
        DockerNotAvailableError: no Docker engine answers.
        SandboxError: it can be neither pulled nor built.
    """
    return find_image() or build_image(say)


def find_image() -> str | None:
    """The sandbox image's tag when the image is there, else None. Raises DockerNotAvailableError."""
    tag = image_tag()
    with closing(connect()) as client:
        return tag if _exists(client, tag) else None


def pull_image(name: str, say: Say) -> str:
    """An image by name, pulled where it is not there; returns the name. Raises as `ensure_image`."""
    with closing(connect()) as client:
        if not _exists(client, name):
            _pull(client, name, say)
    return name


def build_image(say: Say, base: str | None = None, *, again: bool = False) -> str:
    """Makes the image and returns its tag: from `base` where one is named, else pulled, else by debootstrap.

    Raises: as `ensure_image`.
    """
    with closing(connect()) as client:
        tag = image_tag(base)
        if _exists(client, tag) and not again:
            return tag
        if base is not None:
            if not _exists(client, base):
                _pull(client, base, say)
            client.images.get(base).tag(tag)
            return tag
        try:
            if not _exists(client, BASE):
                _pull(client, BASE, say)
            _install(client, tag, say)
        except SandboxError as error:
            say(str(error))
            say("making the image with debootstrap instead (about a minute)")
            _debootstrap(tag)
        return tag


def _install(client: docker.DockerClient, tag: str, say: Say, base: str = BASE) -> None:
    """Makes the image from the registry's by installing the packages. Raises SandboxError."""
    from docker.errors import DockerException

    say(f"installing {PACKAGES.replace(',', ', ')} in {base}")
    text = DOCKERFILE.format(base=base, packages=PACKAGES.replace(",", " "))
    try:
        client.images.build(fileobj=io.BytesIO(text.encode()), tag=tag, labels=LABELS, rm=True, forcerm=True)
    except (DockerException, TypeError) as error:
        raise ImageError(f"the packages could not be installed in {base}: {one_line(error, 160)}") from error


def _pull(client: docker.DockerClient, name: str, say: Say) -> None:
    from docker.errors import DockerException

    say(f"pulling {name}")
    try:
        client.images.pull(name)
    except DockerException as error:
        raise ImageError(
            f"the image {name} is not there and cannot be pulled: {one_line(error, 160)}", kind=ErrorKind.IMAGE_PULL
        ) from error


def _debootstrap(tag: str) -> None:
    if shutil.which("debootstrap") is None:
        raise ImageError("debootstrap is not installed; run as root: apt-get install -y debootstrap")
    if os.geteuid() != 0:
        raise ImageError("debootstrap needs root; run: sudo .venv/bin/stackbench sandbox build")
    with tempfile.TemporaryDirectory(prefix="stackbench-image-") as folder:
        tree = f"{folder}/tree"
        _run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, tree])
        shutil.rmtree(f"{tree}/var/cache/apt/archives", ignore_errors=True)
        changes = [f"--change=LABEL {name}={value}" for name, value in LABELS.items()]
        archive = subprocess.Popen(["tar", "-C", tree, "-c", "."], stdout=subprocess.PIPE)
        try:
            _run(["docker", "import", *changes, "-", tag], stdin=archive.stdout)
        finally:
            if archive.stdout is not None:
                archive.stdout.close()
            archive.wait()


def _run(command: list[str], stdin: IO[bytes] | None = None) -> None:
    done = subprocess.run(command, stdin=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no output"]
        raise ImageError(f"{command[0]} failed: {lines[-1]}")


def _exists(client: docker.DockerClient, name: str) -> bool:
    from docker.errors import ImageNotFound

    try:
        client.images.get(name)
    except ImageNotFound:
        return False
    return True
