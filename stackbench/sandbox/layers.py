"""Builds a layer of an image: a container of the parent runs a script, and what it wrote becomes the layer."""

# docker has partial types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import errno
import io
import json
import os
import shlex
import tarfile
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from stackbench.errors import ImageError, SandboxError, one_line
from stackbench.sandbox.git_archive import write_git_archive
from stackbench.sandbox.labels import owner_labels
from stackbench.sandbox.launch import remove
from stackbench.sandbox.recipe import BUILD_FILES, DockerfileRecipe, ImageRecipe

if TYPE_CHECKING:
    from docker.models.containers import Container as DockerContainer

    import docker

__all__ = ["NOTES", "build_dockerfile", "build_layer", "build_settings"]

SCRIPT = f"{BUILD_FILES}/build.sh"
# Settings may hold a password of a proxy or an index: they come in a file that is gone afterwards, not in the
# container's environment, which the image would keep.
PROLOGUE = f"""set -euo pipefail
trap "rm -rf {BUILD_FILES}" EXIT
source {BUILD_FILES}/settings.sh
"""
CERTIFICATES = f"{BUILD_FILES}/certificates.pem"
NETWORK_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "PIP_INDEX_URL")
LABELS = {"stackbench": "image"}
MEMORY = "8g"
PROCESSES = 4096
TAIL_CHARACTERS = 300
NOTE = "stackbench: "
NOTES = "stackbench.notes"


def build_layer(
    client: docker.DockerClient,
    recipe: ImageRecipe,
    parent: str,
    log: Path,
    labels: Mapping[str, str],
    on_container: Callable[[DockerContainer], None] = lambda container: None,
) -> None:
    """Makes the image `recipe.tag` from the image `parent`. The build's output goes to `log`; its lines that begin with
    `stackbench: ` become the image's label `NOTES`, a JSON list. `on_container` is told the container, which ends the
    build when it is killed.

    Raises:
        SandboxError: the script failed, took too long, or the disk is full; names the log.
        docker.errors.DockerException: the engine refused, or does not answer.
    """
    container = _create(client, recipe, parent)
    try:
        on_container(container)
        with tempfile.TemporaryFile() as packed:
            _pack(recipe, packed)
            packed.seek(0)
            container.put_archive("/", packed)
        _run(container, recipe, log)
        repository, _, tag = recipe.tag.partition(":")
        changes = [f'LABEL "{name}"="{value}"' for name, value in {**LABELS, **labels}.items()]
        changes.append(f"LABEL {NOTES}={json.dumps(json.dumps(_notes(log)))}")
        container.commit(repository, tag, changes="\n".join([*changes, "CMD []"]))
    finally:
        with suppress(SandboxError):
            remove(container)


def build_dockerfile(client: docker.DockerClient, recipe: DockerfileRecipe, log: Path) -> None:
    """Makes an image from a Dockerfile. Raises as `build_layer`."""
    from docker.errors import BuildError

    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        _, lines = client.images.build(path=str(recipe.folder), tag=recipe.tag, labels=LABELS, rm=True)
    except BuildError as error:
        _write_lines(log, error.build_log)
        raise ImageError(f"the image {recipe.tag} could not be built: {one_line(error)}; the log: {log}") from error
    _write_lines(log, lines)


def build_settings() -> dict[str, str]:
    """Variables of this process that say how packages are reached."""
    return {name: os.environ[name] for name in NETWORK_VARIABLES if os.environ.get(name)}


def _create(client: docker.DockerClient, recipe: ImageRecipe, parent: str) -> DockerContainer:
    from docker.types import LogConfig

    return client.containers.create(
        parent,
        ["bash", SCRIPT],
        entrypoint=[],
        user="0:0",
        working_dir="/",
        labels=owner_labels() | {"stackbench.layer": recipe.name},
        security_opt=["no-new-privileges"],
        log_config=LogConfig(type="json-file"),
        mem_limit=MEMORY,
        pids_limit=PROCESSES,
    )


def _certificates() -> Path | None:
    """The authorities that this machine trusts: a package index behind a company's proxy needs them."""
    import ssl

    named = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile or ""
    for path in (named, "/etc/ssl/certs/ca-certificates.crt"):
        if path and Path(path).is_file():
            return Path(path)
    return None


def _pack(recipe: ImageRecipe, target: Any) -> None:
    folder = BUILD_FILES.lstrip("/")
    with tarfile.open(fileobj=target, mode="w") as archive:
        files = {"build.sh": f"{PROLOGUE}{recipe.script}\n".encode(), **recipe.files}
        settings = {"BUILD_FILES": BUILD_FILES, "PIP_NO_CACHE_DIR": "1", "LANG": "C.UTF-8", **build_settings()}
        trusted = _certificates()
        if trusted is not None:
            files["certificates.pem"] = trusted.read_bytes()
            settings |= {"PIP_CERT": CERTIFICATES, "SSL_CERT_FILE": CERTIFICATES}
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in settings.items()]
        files["settings.sh"] = "".join(lines).encode()
        for name, data in files.items():
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
        for name, source in recipe.archives.items():
            write_git_archive(source, f"{folder}/{name}", archive)


def _run(container: DockerContainer, recipe: ImageRecipe, log: Path) -> None:
    """Runs the script to its end, its output to the log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        with suppress(Exception):  # it has ended meanwhile
            container.kill()

    timer = threading.Timer(recipe.timeout_s, expire)
    timer.daemon = True
    try:
        with log.open("wb") as file:
            container.start()
            timer.start()
            with closing(cast("Any", container.logs(stream=True, follow=True))) as output:
                for piece in output:
                    file.write(piece)
                    file.flush()
        status = int(container.wait()["StatusCode"])
    except OSError as error:
        full = " (the disk is full)" if error.errno == errno.ENOSPC else ""
        raise ImageError(f"the build of {recipe.name} broke off: {one_line(error)}{full}") from error
    finally:
        timer.cancel()
    if expired.is_set():
        raise ImageError(f"the build of {recipe.name} took longer than {recipe.timeout_s:.0f} s; its log: {log}")
    if status:
        raise ImageError(f"the build of {recipe.name} failed: {_last_words(log)}; its log: {log}")


def _notes(log: Path) -> tuple[str, ...]:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return tuple(dict.fromkeys(line.removeprefix(NOTE) for line in lines if line.startswith(NOTE)))


def _last_words(log: Path) -> str:
    """What a failed build said last, other than its trace of commands."""
    lines = log.read_bytes()[-65536:].decode(errors="replace").splitlines()
    said = [line.strip() for line in lines if line.strip() and not line.startswith("+")]
    full = next((line for line in reversed(said) if "No space left" in line), None)
    errors = [line for line in said if "error" in line.lower()]
    return (full or (errors or said or ["no output"])[-1])[:TAIL_CHARACTERS]


def _write_lines(log: Path, lines: Any) -> None:
    text = "".join(str(line.get("stream", line.get("error", ""))) for line in lines)
    log.write_text(text, encoding="utf-8")
