"""The folders and files of STACKBENCH_HOME."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

from stackbench.errors import ConfigError

__all__ = ["Home", "user_cache"]


@dataclass(frozen=True, slots=True)
class Home:
    """The folders and files of STACKBENCH_HOME."""

    path: Path
    data_extra: Path | None = None
    source: str = "default"
    """Where the path came from."""

    @classmethod
    def find(cls, option: Path | None = None, *, to_write: bool = True) -> Home:
        """`--home`, else STACKBENCH_HOME, else the platform's user-data folder for stackbench.

        `to_write` False: what only looks needs neither the folder nor the right to write into it.

        Raises:
            ConfigError: the folder cannot be made or written.
        """
        named = option or (Path(os.environ["STACKBENCH_HOME"]) if os.environ.get("STACKBENCH_HOME") else None)
        path = (named or user_data_path("stackbench", appauthor=False)).expanduser().absolute()
        extra = os.environ.get("STACKBENCH_DATA")
        if to_write:
            try:
                path.mkdir(parents=True, exist_ok=True, mode=0o700)  # parents get the usual mode
            except OSError as error:
                raise ConfigError(
                    f"the folder {path} cannot be made ({error.strerror}); name another with --home"
                ) from error
            if not os.access(path, os.W_OK):
                raise ConfigError(f"the folder {path} cannot be written; name another with --home")
        source = "--home" if option else "STACKBENCH_HOME" if named else "default"
        return cls(path, Path(extra).expanduser().absolute() if extra else None, source)

    @property
    def database(self) -> Path:
        return self.path / "stackbench.duckdb"

    @property
    def socket(self) -> Path:
        return self.path / "engine.sock"

    @property
    def lock(self) -> Path:
        return self.path / "engine.lock"

    @property
    def voice_lock(self) -> Path:
        """Held by the process that listens for this home."""
        return self.path / "voice.lock"

    @property
    def trace(self) -> Path:
        """What a live engine is doing, for when it no longer answers."""
        return self.path / "engine.trace"

    @property
    def own_data(self) -> Path:
        """Datasets that an older version fetched into this home; they are still read."""
        return self.path / "data"

    @property
    def own_models(self) -> Path:
        """Models that an older version fetched into this home, or that were put there; they are still read."""
        return self.path / "models"

    @property
    def data(self) -> Path:
        """Where datasets are fetched to: one place for all homes of a user."""
        return user_cache() / "data"

    @property
    def models(self) -> Path:
        """Where models are fetched to: one place for all homes of a user."""
        return user_cache() / "models"

    def run(self, run_id: str) -> Path:
        return self.path / "runs" / run_id

    def checkpoints(self, run_id: str) -> Path:
        """The checkpoints of a run's long attempts."""
        return self.run(run_id) / "checkpoints"


def user_cache() -> Path:
    """The folder of what is fetched: STACKBENCH_CACHE, else the platform's user-cache folder for stackbench."""
    named = os.environ.get("STACKBENCH_CACHE")
    return Path(named).expanduser().absolute() if named else user_cache_path("stackbench", appauthor=False)
