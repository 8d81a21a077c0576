"""One run's rows as Parquet files, and a database made of such files: how a run travels."""

from __future__ import annotations

from pathlib import Path

import duckdb

from stackbench.errors import UsageError, one_line
from stackbench.store.database import open_database
from stackbench.store.query import Queries

__all__ = ["TABLES", "load_tables", "write_tables"]

TABLES = {
    "runs": "SELECT * FROM runs WHERE run_id = '{run}'",
    "run_benchmarks": "SELECT * FROM run_benchmarks WHERE run_id = '{run}' ORDER BY position",
    "attempts": "SELECT * FROM attempts WHERE run_id = '{run}' ORDER BY rowid",
    "attempt_chain": "SELECT * FROM attempt_chain WHERE run_id = '{run}' ORDER BY position",
    "events": "SELECT * FROM events WHERE run_id = '{run}' ORDER BY seq, rowid",
    "tool_calls": "SELECT * FROM tool_calls WHERE run_id = '{run}' ORDER BY rowid",
    "metrics": "SELECT * FROM metrics WHERE run_id = '{run}' ORDER BY benchmark, position",
    "texts": """
SELECT sha256, text FROM texts WHERE sha256 IN (
    SELECT unnest(regexp_extract_all(payload::VARCHAR, '[0-9a-f]{{64}}')) FROM events
    WHERE run_id = '{run}' AND kind IN ('model_call', 'model_call_failed')
    UNION SELECT unnest(regexp_extract_all(environment::VARCHAR, '[0-9a-f]{{64}}')) FROM runs WHERE run_id = '{run}'
) ORDER BY sha256
""",
}
"""A run's rows of each table, in an order that is kept. The id is one of ours, without quotes (see `_quoted`)."""
NEEDED = ("runs", "attempts")
LOAD = 'INSERT INTO "{table}" BY NAME SELECT * FROM read_parquet(?)'


def write_tables(queries: Queries, run_id: str, folder: Path) -> list[Path]:
    """Writes `TABLE.parquet` for each table into a folder. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for table, sql in TABLES.items():
        path = folder / f"{table}.parquet"
        with path.open("wb") as file:
            queries.user_query(sql.format(run=run_id.replace("'", "''")), "parquet", file)
        paths.append(path)
    return paths


def load_tables(folder: Path, database: Path) -> None:
    """Makes a database of such files.

    Raises:
        UsageError: a file is missing, or is not what its name says.
    """
    missing = [table for table in NEEDED if not (folder / f"{table}.parquet").is_file()]
    if missing:
        raise UsageError(f"{folder} is no bundle of a run: {missing[0]}.parquet is missing")
    open_database(database).close()
    with duckdb.connect(str(database)) as connection:
        for table in TABLES:
            path = folder / f"{table}.parquet"
            if not path.is_file():
                continue
            try:
                connection.execute(LOAD.format(table=table), [str(path)])
            except duckdb.Error as error:
                raise UsageError(f"{path} does not hold the rows of {table}: {one_line(error)}") from error
