import json
from pathlib import Path

import pytest

from stackbench.errors import UsageError
from stackbench.report.export import check_folder


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("run.jsonl", json.dumps({"run_id": "20261126-1", "suite": "eval"}) + "\n"),
        ("run.csv", "run_id,suite\n20261126-1,eval\n"),
    ],
)
def test_a_folder_with_the_exports_of_another_run_is_refused(tmp_path: Path, name: str, text: str) -> None:
    check_folder(tmp_path / "new", None)
    (tmp_path / name).write_text(text)

    check_folder(tmp_path, "20261126-1")
    for run in (None, "20261126-2"):
        with pytest.raises(UsageError, match="holds the exports of run 20261126-1; name another folder"):
            check_folder(tmp_path, run)


@pytest.mark.parametrize("text", ["", "not JSON\n", "[1]\n", '{"other": 1}\n'])
def test_files_of_others_are_no_exports(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.jsonl").write_text(text)

    check_folder(tmp_path, None)
