"""The rows of a query as a file: JSON, CSV or parquet."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from stackbench.errors import StoreError, UsageError

__all__ = ["FORMATS", "render", "result_file"]

FORMATS = ("table", "json", "jsonl", "csv", "parquet")
COPY_OPTIONS = {
    "json": "FORMAT json, ARRAY true",
    "jsonl": "FORMAT json, ARRAY false",
    "csv": "FORMAT csv, HEADER true",
    "parquet": "FORMAT parquet",
}
BATCH_ROWS = 1000
PRIVATE_FOLDER = "SELECT current_setting('temp_directory')"
# Cells of these types are never taken for a formula: numbers stay numbers, also negative ones.
PLAIN_TYPES = re.compile(
    r"U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER)?|FLOAT|DOUBLE|DECIMAL.*|BOOLEAN|DATE|TIME.*|UUID|BIGNUM|VARINT|BIT"
)
FORMULA = r"^[=+\-@\t\r\n\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]"
"""Beginnings that make a spreadsheet take a cell for a formula (OWASP, CSV injection)."""
FORMULA_NAME = re.compile("[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
NUMBER = r"^[+-]?[0-9.]+([eE][+-]?[0-9]+)?$"


@contextlib.contextmanager
def result_file(connection: duckdb.DuckDBPyConnection) -> Iterator[Path]:
    """The path of a file that a query may write: in the database's private folder, removed at the end.

    Raises:
        StoreError: the folder cannot be used.
    """
    row = connection.execute(PRIVATE_FOLDER).fetchone()
    path = Path(row[0] if row else "") / f"result-{secrets.token_hex(8)}"
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)  # DuckDB removes it when it has been empty
        path.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise StoreError(f"{path.parent} cannot be used for the results of queries: {error.strerror}") from error
    try:
        yield path
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def render(
    connection: duckdb.DuckDBPyConnection,
    statement: duckdb.Statement,
    format: str,
    path: Path,
    parameters: Sequence[Any] = (),
    most_rows: int | None = None,
) -> None:
    """Writes the rows of a SELECT or EXPLAIN, which may not be checked here; of a table `most_rows` at most.

    Raises duckdb.Error and OSError.
    """
    explains = statement.type.name != "SELECT"
    if format == "table" or (explains and format == "json"):
        _render_table(connection, statement, path, parameters, most_rows)
        return
    if explains:
        raise UsageError(f"an EXPLAIN has no rows for {format}; use table or json")
    sql = f"(\n{_without_end(statement.query)}\n)"  # lines of their own: the query may end in a comment
    if format == "csv":
        sql = _with_plain_cells(connection, sql)
    place = str(path).replace("'", "''")
    connection.execute(f"COPY {sql} TO '{place}' ({COPY_OPTIONS[format]}, USE_TMP_FILE false)", list(parameters))


def _without_end(sql: str) -> str:
    """One statement without its semicolon, and what stands behind that."""
    data = sql.encode()
    for offset, _ in duckdb.tokenize(sql):  # in bytes; a semicolon in a text or comment begins no token
        if data[offset : offset + 1] == b";":
            return data[:offset].decode()
    return sql


def _render_table(
    connection: duckdb.DuckDBPyConnection,
    statement: duckdb.Statement,
    path: Path,
    parameters: Sequence[Any],
    most_rows: int | None,
) -> None:
    left = most_rows
    result = connection.execute(statement, list(parameters) or None)
    with path.open("w", encoding="utf-8") as file:
        file.write(f'{{"columns": {json.dumps([column[0] for column in result.description or []])}, "rows": [')
        first = True
        while rows := result.fetchmany(BATCH_ROWS if left is None else min(left, BATCH_ROWS)):
            left = None if left is None else left - len(rows)
            for row in rows:
                file.write(("" if first else ",\n") + json.dumps(row, default=str))
                first = False
        file.write("]}")


# -- cells that a spreadsheet would run


def _with_plain_cells(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """The same rows with an apostrophe before every text, and every column's name, that begins like a formula."""
    described = connection.execute(f"SELECT * FROM {sql} LIMIT 0").description or []
    cells: list[str] = []
    for number, (name, kind, *_) in enumerate(described):
        quoted = (f"'{name}" if FORMULA_NAME.match(name) else str(name)).replace('"', '""')
        cells.append(f'{_plain_cell(f"c{number}", str(kind))} AS "{quoted}"')
    aliases = ", ".join(f"c{number}" for number, _ in enumerate(described))
    return f"(SELECT {', '.join(cells)} FROM {sql} AS q({aliases}))"


def _plain_cell(cell: str, kind: str) -> str:
    if PLAIN_TYPES.fullmatch(kind):
        return cell
    text = f"{cell}::VARCHAR"
    risky = f"regexp_matches({text}, '{FORMULA}')"
    if kind == "JSON":
        risky = f"({risky} AND NOT regexp_matches({text}, '{NUMBER}'))"
    return f"CASE WHEN {risky} THEN '''' || {text} ELSE {text} END"
