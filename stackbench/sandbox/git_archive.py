"""A git folder that holds some commits of a repository, one commit deep, packed for a container."""

from __future__ import annotations

import subprocess
import tarfile
import tempfile
from pathlib import Path

from stackbench.errors import ImageError, SandboxError, one_line
from stackbench.sandbox.recipe import ArchiveSource

__all__ = ["write_git_archive"]

FETCH_TIMEOUT_S = 1800


def write_git_archive(source: ArchiveSource, arcname: str, archive: tarfile.TarFile) -> None:
    """Adds a bare git folder under `arcname`; the objects of `source.have` are left out of it.

    Raises:
        ImageError: git is missing, or a folder of this machine has no such commit or cannot be read.
        SandboxError: a repository on the network cannot be read, or has no such commit; another try may end otherwise.
    """
    with tempfile.TemporaryDirectory(prefix="stackbench-git-") as folder:
        kept, fresh = Path(folder, "kept.git"), Path(folder, "fresh.git")
        _git("init", "--quiet", "--bare", str(fresh))
        if source.have:
            _git("init", "--quiet", "--bare", str(kept))
            _fetch(kept, source.mirror, source.have)
            # what the parent has is lent to the new folder, so that only the rest is sent and kept
            Path(fresh, "objects/info/alternates").write_text(f"{kept}/objects\n", encoding="utf-8")
            Path(fresh, "shallow").write_bytes(Path(kept, "shallow").read_bytes())
            for number, commit in enumerate(source.have):
                _git("--git-dir", str(fresh), "update-ref", f"refs/have/{number}", commit)
        _fetch(fresh, source.mirror, source.commits)
        for number, _ in enumerate(source.have):
            _git("--git-dir", str(fresh), "update-ref", "-d", f"refs/have/{number}")
        Path(fresh, "objects/info/alternates").unlink(missing_ok=True)
        archive.add(fresh, arcname)


def _fetch(folder: Path, mirror: str, commits: tuple[str, ...]) -> None:
    local = Path(mirror)
    where = f"file://{local.absolute()}" if local.exists() else mirror
    for commit in commits:
        options = ["--quiet", "--depth", "1", "--no-tags", "--no-write-fetch-head"]
        # a fetch by hash is refused by some servers' settings, which for a folder of one's own can be set here
        serve = "git -c uploadpack.allowAnySHA1InWant=true upload-pack"
        upload = [f"--upload-pack={serve}"] if where.startswith("file://") else []
        try:
            _git("--git-dir", str(folder), "-c", "gc.auto=0", "fetch", *options, *upload, where, commit)
        except SandboxError as error:
            why = f"{mirror} has no commit {commit}, or cannot be read ({error}); fetch it anew: git clone --mirror URL"
            raise (ImageError if local.exists() else SandboxError)(why) from error
        _git("--git-dir", str(folder), "update-ref", f"refs/kept/{commit}", commit)


def _git(*arguments: str) -> None:
    command = ["git", "-c", "safe.directory=*", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, check=False)
    except FileNotFoundError as error:
        raise ImageError("git is not installed on this machine; install it (apt-get install git)") from error
    except subprocess.TimeoutExpired as error:
        raise SandboxError(f"git {arguments[0]} took longer than {FETCH_TIMEOUT_S} s") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise SandboxError(one_line(next((line for line in lines if line.startswith("fatal:")), lines[-1])))
