"""The installation tables of swebench 4.1.0, which later versions dropped: read once out of its wheel, and cached.

The wheel is neither installed nor imported here: a Python process of its own, with an empty environment, loads the
modules that hold nothing but tables and prints them as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackbench import nesting
from stackbench.errors import DataCorruptError, DataNotAvailableError, one_line
from stackbench.fetch import FetchError, download_distribution, sha256_of

__all__ = ["SpecTables", "load_spec_tables"]

VERSION = "4.1.0"
WHEEL_SHA256 = "1243776f720047cc9e20a427f7a52b75c13a07abda6154fb60fe77f82ec8af57"
TABLES_MEMBERS = "swebench/harness/constants/"
LOAD_TIMEOUT_S = 60
PROGRAM = """
import json, sys, types
for name in ("swebench", "swebench.harness"):
    package = types.ModuleType(name)
    package.__path__ = [sys.argv[1] + "/" + name.replace(".", "/")]
    sys.modules[name] = package
import swebench.harness.constants as tables
names = ["MAP_REPO_VERSION_TO_SPECS", "MAP_REPO_TO_EXT", "MAP_REPO_TO_REQS_PATHS", "MAP_REPO_TO_ENV_YML_PATHS",
         "NON_TEST_EXTS"]
found = {name: getattr(tables, name) for name in names}
found["FAIL_ONLY_REPOS"] = sorted(tables.FAIL_ONLY_REPOS)
json.dump(found, sys.stdout)
"""


@dataclass(frozen=True, slots=True)
class SpecTables:
    """What swebench 4.1.0 knew of repositories."""

    specs: Mapping[str, Mapping[str, Mapping[str, Any]]]
    """By repository and version: `python`, `packages`, `pip_packages`, `pre_install`, `install`, `test_cmd` ..."""
    languages: Mapping[str, str]
    """By repository: `py`, `js` ..."""
    requirement_paths: Mapping[str, tuple[str, ...]]
    """By repository: where its requirements file may lie."""
    environment_paths: Mapping[str, tuple[str, ...]]
    """By repository: where its conda environment file may lie."""
    non_test_endings: tuple[str, ...]
    """Endings of files of a test patch that are no tests."""
    fail_only: frozenset[str]
    """Repositories whose logs name failing tests alone."""

    def spec(self, repo: str, version: str) -> Mapping[str, Any] | None:
        """How that version of a repository is installed and tested; None where the tables do not say."""
        return self.specs.get(repo, {}).get(version)


def load_spec_tables(cache: Path) -> SpecTables:
    """The tables, from `cache` where they are there.

    Raises:
        DataNotAvailableError: the wheel cannot be had.
        DataCorruptError: it is another one than the one that was published.
    """
    path = cache / f"specs-{VERSION}-{WHEEL_SHA256[:12]}.json"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".fresh")
        fresh.write_text(_read_out(cache), encoding="utf-8")
        fresh.replace(path)
    try:
        found = nesting.loads(path.read_text(encoding="utf-8"))
        return SpecTables(
            specs=found["MAP_REPO_VERSION_TO_SPECS"],
            languages=found["MAP_REPO_TO_EXT"],
            requirement_paths={repo: tuple(paths) for repo, paths in found["MAP_REPO_TO_REQS_PATHS"].items()},
            environment_paths={repo: tuple(paths) for repo, paths in found["MAP_REPO_TO_ENV_YML_PATHS"].items()},
            non_test_endings=tuple(found["NON_TEST_EXTS"]),
            fail_only=frozenset(found["FAIL_ONLY_REPOS"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataCorruptError(f"{path} cannot be read ({one_line(error)}); remove it, and it is made again") from error


def _read_out(cache: Path) -> str:
    try:
        wheel = download_distribution("swebench", VERSION, cache / "wheels")
    except FetchError as error:
        raise DataNotAvailableError(
            f"rows without an evaluation script need the tables of swebench {VERSION}, and {error}"
        ) from error
    if (found := sha256_of(wheel)) != WHEEL_SHA256:
        wheel.unlink()
        raise DataCorruptError(
            f"{wheel.name} has the sha256 {found}, not {WHEEL_SHA256}; it was removed: check the package index"
        )
    with tempfile.TemporaryDirectory(prefix="stackbench-specs-") as folder:
        with zipfile.ZipFile(wheel) as package:
            package.extractall(folder, [name for name in package.namelist() if name.startswith(TABLES_MEMBERS)])
        done = subprocess.run(
            [sys.executable, "-I", "-B", "-c", PROGRAM, folder],
            capture_output=True,
            text=True,
            timeout=LOAD_TIMEOUT_S,
            env={},
            check=False,
        )
    if done.returncode:
        raise DataCorruptError(f"the tables of swebench {VERSION} cannot be read: {one_line(done.stderr[-300:])}")
    return json.dumps(json.loads(done.stdout), sort_keys=True)
