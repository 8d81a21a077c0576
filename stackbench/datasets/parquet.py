"""Parquet files as rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stackbench.errors import DataCorruptError, one_line

__all__ = ["join_parquet", "read_parquet"]


def read_parquet(path: Path) -> list[dict[str, Any]]:
    """Every row of a file.

    Raises:
        DataCorruptError: it is no parquet file.
    """
    import duckdb

    try:
        with duckdb.connect() as connection:
            relation = connection.read_parquet(str(path))
            return [dict(zip(relation.columns, values, strict=True)) for values in relation.fetchall()]
    except duckdb.Error as error:
        raise DataCorruptError(f"{path} is no parquet file: {one_line(error)}") from error


def join_parquet(parts: Sequence[str], target: Path) -> None:
    """The rows of several files in one, which appears whole or not at all.

    Raises:
        DataCorruptError: one is no parquet file.
    """
    import duckdb

    fresh = target.with_suffix(".fresh")
    try:
        with duckdb.connect() as connection:
            connection.read_parquet(list(parts)).write_parquet(str(fresh))
    except duckdb.Error as error:
        raise DataCorruptError(f"{parts[0]} is no parquet file: {one_line(error)}") from error
    fresh.replace(target)
