from pathlib import Path

import pytest

from stackbench.config import Home
from stackbench.errors import UsageError
from stackbench.store import Reader, Writer, label_run, open_queries
from tests.written_runs import write_run


def test_a_mistyped_run_is_answered_with_the_nearest_name_tag_or_id(tmp_path: Path) -> None:
    home = write_run(tmp_path, "20261126-090000-abcd", {"t": [True]})
    writer = Writer(home.database)
    writer.change(
        lambda connection: label_run(connection, run_id="20261126-090000-abcd", name="brief", tags=("nightly",))
    )
    writer.close()
    queries = open_queries(home.database, home.socket)
    try:
        reader = Reader(queries)
        for given, meant in (
            ("brif", "brief"),
            ("nightl", "nightly"),
            ("20261126-090000-abce", "20261126-090000-abcd"),
        ):
            with pytest.raises(UsageError, match=rf'no run "{given}" \(did you mean "{meant}"\?\); "stackbench runs"'):
                reader.run(given)
        with pytest.raises(UsageError, match='no run "zzzzzzz"; "stackbench runs" lists them'):
            reader.run("zzzzzzz")
    finally:
        queries.close()


def test_without_any_run_the_last_is_said_not_to_be_there_yet(tmp_path: Path) -> None:
    home = Home(tmp_path)
    Writer(home.database).close()
    queries = open_queries(home.database, home.socket)
    try:
        for name in ("last", "brief"):
            with pytest.raises(UsageError, match="there are no runs yet; to make one: stackbench eval humaneval"):
                Reader(queries).run(name)
    finally:
        queries.close()


def test_a_mistyped_task_is_answered_with_the_nearest_ones_or_how_to_list_them(tmp_path: Path) -> None:
    home = write_run(tmp_path, "r", {"files/copy-a-file": [True], "files/copy-a-folder": [False], "api/add": [True]})
    queries = open_queries(home.database, home.socket)
    try:
        reader = Reader(queries)
        with pytest.raises(UsageError, match=r'no attempt at "copy-a-fil" \(did you mean "files/copy-a-file"'):
            list(reader.sample("r", "copy-a-fil"))
        with pytest.raises(UsageError, match='named like "api/add", and they are listed by: stackbench query'):
            list(reader.sample("r", "zzzzzzzz"))
    finally:
        queries.close()
