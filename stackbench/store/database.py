"""Opens the database file and brings its schema up to date."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
from importlib import resources
from pathlib import Path

import duckdb
import psutil

from stackbench.errors import NoRunsError, StoreError, StoreLockedError

__all__ = ["SCHEMA_VERSION", "open_database"]

CREATE_VERSIONS = "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, applied_at TIMESTAMP)"
HAS_VERSIONS = "SELECT 1 FROM duckdb_tables() WHERE table_name = 'schema_version'"
READ_VERSION = "SELECT coalesce(max(version), 0) FROM schema_version"
ADD_VERSION = "INSERT INTO schema_version VALUES (?, current_localtimestamp())"


LEAST_MEMORY = 1 << 30
MEMORY_SHARE = 0.25
MOST_THREADS = 4
MOST_SPILLED = "8GiB"
# Queries share the instance with the writer: files and settings are out of reach for both, its folder excepted.
CONFIGURATION: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
    "pandas_analyze_sample": "0",  # columns of objects are read as text, whatever their first rows hold
}


def _migrations() -> list[tuple[int, str]]:
    folder = resources.files("stackbench.store").joinpath("schema")
    files = sorted((item for item in folder.iterdir() if item.name.endswith(".sql")), key=lambda item: item.name)
    return [(int(item.name.split("_")[0]), item.read_text(encoding="utf-8")) for item in files]


SCHEMA_VERSION = 10
"""The newest schema that this program knows; a database with a newer one is refused."""


def open_database(path: Path, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """Opens the database; creates it when writing. One of an older schema is migrated, one transaction per migration.

    No statement of any connection can then read or write another file, load an extension or change a setting; results
    and what does not fit in memory go to a folder beside the database that is this user's alone, as the database is.

    Raises:
        NoRunsError: there is none to read, or nothing was written to it yet.
        StoreLockedError: another process has it open for writing.
        StoreError: it cannot be opened, or is of a newer schema.
    """
    if read_only and not path.exists():
        raise NoRunsError(
            f"no runs yet: there is no database at {path}; run an evaluation first, or name another folder with --home"
        )
    try:
        if not read_only:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        connection = _connect(path, read_only=read_only)
    except duckdb.ConnectionException as error:
        if not read_only:
            raise StoreError(f"{path} cannot be opened: {_first_line(error)}") from error
        # This process still holds it, because a query of the run that ended cannot be interrupted.
        return duckdb.connect(str(path), config=CONFIGURATION)
    except duckdb.IOException as error:
        if "lock" in str(error).lower():
            raise StoreLockedError(
                f"{path} is in use by another process; wait for it to end, or give this run its own folder with --home"
            ) from error
        raise StoreError(f"{path} cannot be opened: {_first_line(error)}") from error
    except (duckdb.Error, OSError) as error:
        raise StoreError(f"{path} cannot be opened: {_first_line(error)}; is it a DuckDB file?") from error
    try:
        _confine(connection, path, read_only=read_only)
        version = _check_version(connection, path, migrate=not read_only)
    except duckdb.Error as error:
        connection.close()
        raise StoreError(f"{path}: the schema cannot be read or brought up to date: {_first_line(error)}") from error
    except StoreError:
        connection.close()
        raise
    if version < SCHEMA_VERSION:  # opened to read, by a newer stackbench than the one that wrote it
        connection.close()
        if not os.access(path, os.W_OK):
            raise StoreError(
                f"{path} is of an older version of stackbench and cannot be brought up to date, since it cannot be "
                "written; copy its folder and name the copy with --home"
            )
        open_database(path).close()
        return open_database(path, read_only=True)
    return connection


def _connect(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    """A new database is made for its owner alone; an older one becomes so when it is opened for writing."""
    if read_only:
        return duckdb.connect(str(path), read_only=True, config=CONFIGURATION)
    before = None if path.exists() else os.umask(0o077)
    try:
        connection = duckdb.connect(str(path), config=CONFIGURATION)
    finally:
        if before is not None:
            os.umask(before)
    with contextlib.suppress(OSError):  # another user's file that this one may write
        path.chmod(0o600)
    keep_log_private(path)
    return connection


def keep_log_private(path: Path) -> None:
    """Makes the write-ahead log before DuckDB does, which would let everybody read it. Cheap where it exists."""
    log = f"{path}.wal"
    with contextlib.suppress(OSError):
        if not os.path.exists(log):  # noqa: PTH110 (called before every commit)
            os.close(os.open(log, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _confine(connection: duckdb.DuckDBPyConnection, path: Path, *, read_only: bool) -> None:
    """Leaves statements nothing but this database and its private folder."""
    folder = path.with_name(path.name + ".tmp")
    if read_only and not os.access(folder if folder.exists() else path.parent, os.W_OK):  # a home that may only be read
        folder = Path(tempfile.mkdtemp(prefix="stackbench-query-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # queries that need it say so
        if not read_only:  # nobody else has the database open: what lies there was left behind
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
    memory = max(LEAST_MEMORY, int(psutil.virtual_memory().total * MEMORY_SHARE))
    place = str(folder).replace("'", "''")
    for setting in (
        f"temp_directory = '{place}'",
        f"max_temp_directory_size = '{MOST_SPILLED}'",
        f"memory_limit = '{memory >> 20}MiB'",
        f"threads = {max(1, min(MOST_THREADS, os.cpu_count() or 1))}",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")


def _check_version(connection: duckdb.DuckDBPyConnection, path: Path, *, migrate: bool) -> int:
    """The schema's version afterwards."""
    if migrate:
        connection.execute(CREATE_VERSIONS)
    elif not connection.execute(HAS_VERSIONS).fetchone():
        raise NoRunsError(f"{path} is empty: the run that made it was killed as it started; run an evaluation first")
    row = connection.execute(READ_VERSION).fetchone()
    version = int(row[0]) if row else 0
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} has schema {version}, this stackbench knows up to {SCHEMA_VERSION}; upgrade stackbench to open it"
        )
    if not migrate:
        return version
    for number, sql in _migrations():
        if number <= version:
            continue
        connection.begin()
        try:
            connection.execute(sql)
            connection.execute(ADD_VERSION, [number])
            connection.commit()
        except BaseException:
            connection.rollback()
            raise
    return SCHEMA_VERSION


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
