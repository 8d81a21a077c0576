"""The images that tasks need: found, pulled or built once, layer by layer, within a bound of the disk."""

# docker has partial types.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stackbench.errors import ImageError, SandboxError, one_line
from stackbench.fetch_lock import fetch_lock
from stackbench.sandbox.docker import connect
from stackbench.sandbox.image import ensure_image, pull_image
from stackbench.sandbox.layers import NOTES, build_dockerfile, build_layer
from stackbench.sandbox.pulling import pull_patiently
from stackbench.sandbox.recipe import (
    DockerfileRecipe,
    ImageLimits,
    ImageRecipe,
    PulledImage,
    PythonBase,
    ReadyImage,
)

if TYPE_CHECKING:
    from docker.models.containers import Container as DockerContainer

    import docker

__all__ = ["ImageStore"]

Say = Callable[[str], None]
PYTHON_IMAGE = "python:{version}-slim-bookworm"
VERSION_PROGRAM = "import sys; print('%d.%d' % sys.version_info[:2])"


@dataclass(slots=True)
class _Kept:
    """What the index knows of an image."""

    parent: str
    bytes: int
    used_at: float
    python: str = ""


class ImageStore:
    """Makes images ready, and removes those that were not used for longest when there are too many.

    Its methods block; several threads may call them. Two that want the same layer share one build.
    """

    def __init__(self, limits: ImageLimits, say: Say) -> None:
        self._limits = limits
        self._say = say
        self._index = limits.folder / "images.json"
        self._guard = threading.Lock()
        self._making: dict[str, threading.Lock] = {}
        self._closed = False
        self._containers: set[DockerContainer] = set()
        self._told: set[str] = set()
        self._bases: dict[PythonBase, tuple[str, str]] = {}
        self._held: Counter[str] = Counter()
        """Images that are worked with, and those that are being built upon."""

    def ready(self, wanted: ImageRecipe | DockerfileRecipe | PulledImage) -> ReadyImage:
        """The image, made where it is not there; it stays until it is handed back with `release`.

        Raises:
            DockerNotAvailableError: no Docker engine answers.
            SandboxError: it can be neither pulled nor built; names the log of a build.
        """
        from docker.errors import DockerException

        names = _names(wanted)
        self._hold(names)
        try:
            with closing(connect()) as client:
                if isinstance(wanted, PulledImage):
                    found = self._pulled(client, wanted)
                elif isinstance(wanted, DockerfileRecipe):
                    found = self._from_dockerfile(client, wanted)
                else:
                    found = self._layer(client, wanted)
                self._hold([found.name])
                self._keep_within(client)
                self._tell(found)
                return found
        except DockerException as error:
            raise ImageError(f"Docker could not make an image: {one_line(error)}") from error
        finally:
            self._let_go(names)

    def release(self, name: str) -> None:
        """Hands an image back: it may be removed when room is needed."""
        self._let_go([name])

    @property
    def bytes(self) -> int:
        """What all images of the index take on the disk."""
        return sum(kept.bytes for kept in self._read().values())

    def _tell(self, image: ReadyImage) -> None:
        """Says once how an image differs from what was asked for."""
        for note in image.notes:
            with self._guard:
                told = note in self._told
                self._told.add(note)
            if not told:
                self._say(f"{image.name.partition(':')[2]}: {note}")

    # -- the three kinds

    def _pulled(self, client: docker.DockerClient, wanted: PulledImage) -> ReadyImage:
        with self._one_at_a_time(wanted.name):
            there = _inspect(client, wanted.name)
            if there is None:
                try:
                    pull_patiently(client, wanted.name, self._say)
                except SandboxError as error:
                    if wanted.otherwise is None:
                        raise
                    self._say(f"{error}; building it instead")
                    return self._layer(client, wanted.otherwise)
                there = _inspect(client, wanted.name)
            if there is None:
                raise ImageError(f"the image {wanted.name} was pulled and is not there")
            self._record(wanted.name, "", there.size)
            return ReadyImage(wanted.name, there.digest, bytes=there.size)

    def _from_dockerfile(self, client: docker.DockerClient, wanted: DockerfileRecipe) -> ReadyImage:
        with self._one_at_a_time(wanted.tag):
            there, built = _inspect(client, wanted.tag), False
            if there is None:
                self._say(f"building {wanted.name} from its Dockerfile")
                build_dockerfile(client, wanted, self._log_of(wanted.name))
                there, built = _inspect(client, wanted.tag), True
            if there is None:
                raise ImageError(f"the image {wanted.tag} was built and is not there")
            self._record(wanted.tag, "", there.size)
            return ReadyImage(wanted.tag, there.digest, built=built, bytes=there.size)

    def _layer(self, client: docker.DockerClient, recipe: ImageRecipe) -> ReadyImage:
        """The layers below first."""
        if isinstance(recipe.parent, PythonBase):
            parent, python = self._python_base(client, recipe.parent)
            notes: tuple[str, ...] = ()
            if python != recipe.parent.python:
                notes = (f"Python {python} in place of {recipe.parent.python}",)
        else:
            below = self._layer(client, recipe.parent)
            parent, python, notes = below.name, below.python, below.notes
        with self._one_at_a_time(recipe.tag):
            there, built = _inspect(client, recipe.tag), False
            if there is None:
                began = time.monotonic()
                self._say(f"building {recipe.name}")
                log = self._log_of(recipe.name)
                with self._building() as building:
                    build_layer(client, recipe, parent, log, {"stackbench.python": python}, building)
                there, built = _inspect(client, recipe.tag), True
                self._say(f"built {recipe.name} in {time.monotonic() - began:.0f} s")
            if there is None:
                raise ImageError(f"the image {recipe.tag} was built and is not there")
            below_size = _inspect(client, parent)
            own = there.size - (below_size.size if below_size is not None else 0)
            self._record(recipe.tag, parent, own, python)
            return ReadyImage(recipe.tag, there.digest, python, built, own, (*notes, *there.notes))

    @contextmanager
    def _building(self) -> Iterator[Callable[[DockerContainer], None]]:
        """Knows the container of a build while it goes on. Raises SandboxError when this is closed."""
        known: list[DockerContainer] = []

        def begin(container: DockerContainer) -> None:
            with self._guard:
                if self._closed:
                    raise SandboxError("the run has ended, and builds nothing more")
                known.append(container)
                self._containers.add(container)

        try:
            yield begin
        finally:
            with self._guard:
                self._containers.difference_update(known)

    def close(self) -> None:
        """Ends the builds that go on; whoever waits for one gets a SandboxError."""
        from docker.errors import DockerException

        with self._guard:
            self._closed = True
            containers = list(self._containers)
        for container in containers:
            with suppress(DockerException):  # it has ended meanwhile
                container.kill()

    def _python_base(self, client: docker.DockerClient, wanted: PythonBase) -> tuple[str, str]:
        """An image with that Python, and its version."""
        with self._one_at_a_time("python"):
            if wanted in self._bases:
                return self._bases[wanted]
            found = self._bases[wanted] = self._find_python(client, wanted)
            return found

    def _find_python(self, client: docker.DockerClient, wanted: PythonBase) -> tuple[str, str]:
        own = ensure_image(self._say)
        version = _python_of(client, own)
        if version == wanted.python:
            return own, version
        name = PYTHON_IMAGE.format(version=wanted.python)
        try:
            pull_image(name, self._say)
        except SandboxError as error:
            if wanted.any_python:
                self._say(f"Python {wanted.python} cannot be had; using {version} in its place, as --any-python allows")
                return own, version
            raise ImageError(
                f"the environment needs Python {wanted.python}, and {error}; --any-python builds it with "
                f"Python {version} instead",
                kind=error.kind,
            ) from error
        return name, wanted.python

    # -- account and bound

    def _one_at_a_time(self, name: str) -> threading.Lock:
        with self._guard:
            return self._making.setdefault(name, threading.Lock())

    def _hold(self, names: Iterable[str]) -> None:
        with self._guard:
            self._held.update(names)

    def _let_go(self, names: Iterable[str]) -> None:
        with self._guard:
            self._held.subtract(names)
            self._held += Counter[str]()  # without those that nobody holds

    def _log_of(self, name: str) -> Path:
        return self._limits.folder / "builds" / f"{name}.log"

    def _record(self, name: str, parent: str, size: int, python: str = "", notes: tuple[str, ...] = ()) -> None:
        with fetch_lock(self._limits.folder, "images"):
            known = self._read()
            known[name] = _Kept(parent, size, time.time(), python)
            while parent in known:  # who uses a layer uses those below it
                known[parent].used_at = time.time()
                parent = known[parent].parent
            self._write(known)

    def _keep_within(self, client: docker.DockerClient) -> None:
        """Removes images that no other one is made from, the least recently used first, until they fit the bound."""
        from docker.errors import APIError, ImageNotFound

        with fetch_lock(self._limits.folder, "images"):
            known = self._read()
            total = sum(kept.bytes for kept in known.values())
            stuck: set[str] = set()
            while total > self._limits.most_bytes:
                parents = {kept.parent for kept in known.values()}
                free = [name for name in known if name not in parents | set(self._held) | stuck]
                if not free:
                    break
                oldest = min(free, key=lambda name: known[name].used_at)
                try:
                    client.images.remove(oldest)
                    self._say(f"removed the image {oldest}: the cache is larger than cache_gb allows")
                except ImageNotFound:
                    pass
                except APIError:  # a container of somebody's is made from it
                    stuck.add(oldest)
                    continue
                total -= known.pop(oldest).bytes
            self._write(known)

    def _read(self) -> dict[str, _Kept]:
        with suppress(OSError, ValueError, TypeError):
            found: Mapping[str, Mapping[str, object]] = json.loads(self._index.read_text(encoding="utf-8"))
            return {name: _Kept(**kept) for name, kept in found.items()}  # type: ignore[arg-type]
        return {}

    def _write(self, known: Mapping[str, _Kept]) -> None:
        self._index.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._index.with_suffix(".fresh")
        fresh.write_text(json.dumps({name: asdict(kept) for name, kept in known.items()}), encoding="utf-8")
        fresh.replace(self._index)


def _names(wanted: ImageRecipe | DockerfileRecipe | PulledImage) -> list[str]:
    """The images that have to be there for the wanted one."""
    if isinstance(wanted, PulledImage):
        return [wanted.name, *(_names(wanted.otherwise) if wanted.otherwise is not None else [])]
    if isinstance(wanted, DockerfileRecipe):
        return [wanted.tag]
    return [wanted.tag, *(_names(wanted.parent) if isinstance(wanted.parent, ImageRecipe) else [])]


@dataclass(frozen=True, slots=True)
class _Inspected:
    digest: str
    size: int
    notes: tuple[str, ...]


def _inspect(client: docker.DockerClient, name: str) -> _Inspected | None:
    from docker.errors import ImageNotFound

    try:
        image = client.images.get(name)
    except ImageNotFound:
        return None
    notes: list[str] = json.loads(image.labels.get(NOTES, "[]"))
    return _Inspected(str(image.id), int(image.attrs.get("Size", 0)), tuple(notes))


def _python_of(client: docker.DockerClient, image: str) -> str:
    """The version of an image's Python, as `3.11`."""
    said = client.containers.run(image, ["python3", "-c", VERSION_PROGRAM], remove=True, network_disabled=True)
    return said.decode().strip()
