"""Opens the database file and brings its schema up to date."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import duckdb

from stackbench.errors import StoreError, StoreLockedError

__all__ = ["SCHEMA_VERSION", "open_database"]

CREATE_VERSIONS = "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, applied_at TIMESTAMP)"
HAS_VERSIONS = "SELECT 1 FROM duckdb_tables() WHERE table_name = 'schema_version'"
READ_VERSION = "SELECT coalesce(max(version), 0) FROM schema_version"
ADD_VERSION = "INSERT INTO schema_version VALUES (?, current_localtimestamp())"


def _migrations() -> list[tuple[int, str]]:
    folder = resources.files("stackbench.store").joinpath("schema")
    files = sorted((item for item in folder.iterdir() if item.name.endswith(".sql")), key=lambda item: item.name)
    return [(int(item.name.split("_")[0]), item.read_text(encoding="utf-8")) for item in files]


SCHEMA_VERSION = 6
"""The newest schema that this program knows; a database with a newer one is refused."""


def open_database(path: Path, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """Opens the database; when writing, creates it or migrates it, one transaction per migration.

    Raises:
        StoreLockedError: another process has it open for writing.
        StoreError: it cannot be opened, or is of a newer schema.
    """
    if read_only and not path.exists():
        raise StoreError(f"no database at {path} yet; run an evaluation first, or name another folder with --home")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = duckdb.connect(str(path), read_only=read_only, config={"autoinstall_known_extensions": "false"})
    except duckdb.IOException as error:
        if "lock" in str(error).lower():
            raise StoreLockedError(
                f"{path} is in use by another process; wait for it to end, or give this run its own folder with --home"
            ) from error
        raise StoreError(f"{path} cannot be opened: {_first_line(error)}") from error
    except (duckdb.Error, OSError) as error:
        raise StoreError(f"{path} cannot be opened: {_first_line(error)}; is it a DuckDB file?") from error
    try:
        _check_version(connection, path, migrate=not read_only)
    except duckdb.Error as error:
        connection.close()
        raise StoreError(f"{path}: the schema cannot be read or brought up to date: {_first_line(error)}") from error
    except StoreError:
        connection.close()
        raise
    return connection


def _check_version(connection: duckdb.DuckDBPyConnection, path: Path, *, migrate: bool) -> None:
    if migrate:
        connection.execute(CREATE_VERSIONS)
    elif not connection.execute(HAS_VERSIONS).fetchone():
        raise StoreError(f"{path} is empty: the run that made it was killed as it started; run an evaluation first")
    row = connection.execute(READ_VERSION).fetchone()
    version = int(row[0]) if row else 0
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} has schema {version}, this stackbench knows up to {SCHEMA_VERSION}; upgrade stackbench to open it"
        )
    if not migrate:
        return
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


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
