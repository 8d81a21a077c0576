"""Names and tags of recorded runs: work for `Writer.change`."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from stackbench.errors import UsageError

__all__ = ["label_run"]

NAME_TAKEN = "SELECT run_id FROM run_labels WHERE kind = 'name' AND label = ? AND run_id <> ?"
DELETE_NAME = "DELETE FROM run_labels WHERE run_id = ? AND kind = 'name'"
DELETE_TAG = "DELETE FROM run_labels WHERE run_id = ? AND kind = 'tag' AND label = ?"
INSERT_LABEL = "INSERT OR IGNORE INTO run_labels (run_id, kind, label) VALUES (?, ?, ?)"


def label_run(
    connection: duckdb.DuckDBPyConnection,
    *,
    run_id: str,
    name: str | None = None,
    tags: Sequence[str] = (),
    without: Sequence[str] = (),
) -> None:
    """Gives a run a name (empty: takes it away) and tags, and takes tags `without` away.

    Raises:
        UsageError: another run has the name.
    """
    taken = connection.execute(NAME_TAKEN, [name, run_id]).fetchall() if name else []
    if taken:
        raise UsageError(
            f'run {taken[0][0]} has the name "{name}" already; choose another, or rename that: '
            f"stackbench runs tag {taken[0][0]} --name NEW"
        )
    if name is not None:
        connection.execute(DELETE_NAME, [run_id])
    for tag in without:
        connection.execute(DELETE_TAG, [run_id, tag])
    for tag in tags:
        connection.execute(INSERT_LABEL, [run_id, "tag", tag])
    if name:
        connection.execute(INSERT_LABEL, [run_id, "name", name])
