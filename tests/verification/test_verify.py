"""A run is verified as it is; each of many falsifications is found, also by somebody who makes the chain anew."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from stackbench.cli import main
from stackbench.config import Home
from stackbench.datasets import DatasetStore
from stackbench.models.loaded_files import FileHashes
from stackbench.report.bundle import MANIFEST, write_bundle, write_manifest
from stackbench.store import open_queries
from stackbench.store.chain import CHAIN_COLUMNS, GENESIS, SEALED, attempt_sha256, link, row_sha256, run_seal
from stackbench.store.chain_audit import audit_chain
from stackbench.store.writer import ATTEMPT_COLUMNS
from stackbench.verification.verdicts import Verification
from stackbench.verification.verify import verify
from tests.written_runs import write_run

RUN = "20261126-090000-abcdef"
TASKS = 60
FAILED = 20


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, data: DatasetStore, data_dir: Path) -> Home:
    """GSM8K's first tasks, two of three answered right, in a home of the module; tests falsify copies."""
    rows = data.rows("gsm8k")[:TASKS]
    right = {f"gsm8k/{n}": [n % 3 != 0] for n in range(TASKS)}
    answers = {
        f"gsm8k/{n}": [f"#### {row['answer'].rsplit('####', 1)[-1].strip() if n % 3 else '-1'}"]
        for n, row in enumerate(rows)
    }
    hashes = {file.path: file.sha256 for file in data.manifest.files("gsm8k").values()}
    path = tmp_path_factory.mktemp("recorded") / "home"
    write_run(path, RUN, right, answers=answers, datasets=hashes)
    return Home(path, data_dir)


@dataclass(frozen=True)
class Forger:
    """Changes the database of a recorded run, as somebody could who holds it."""

    home: Home

    def change(self, sql: str) -> None:
        with duckdb.connect(str(self.home.database)) as connection:
            connection.execute(sql)

    def chain_anew(self) -> str:
        """Makes the whole chain fit what is there; returns its last hash."""
        with duckdb.connect(str(self.home.database)) as connection:
            rows = connection.execute(f"SELECT {ATTEMPT_COLUMNS} FROM attempts ORDER BY rowid").fetchall()
            seal = run_seal([connection.execute(sql, [RUN]).fetchall() for sql in SEALED])
            entries: list[tuple[str, tuple[Any, ...], str]] = [("begin", (None,) * 4, row_sha256([RUN]))]
            entries += [("attempt", row[1:5], attempt_sha256(row)) for row in rows]
            entries.append(("end", (None,) * 4, seal))
            connection.execute("DELETE FROM attempt_chain")
            head = GENESIS
            for place, (kind, key, digest) in enumerate(entries):
                head = link(head, place, kind, digest)
                values = [RUN, place, kind, *key, digest, head]
                connection.execute(f"INSERT INTO attempt_chain ({CHAIN_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)", values)
        return head

    def head(self) -> str:
        queries = open_queries(self.home.database, self.home.socket)
        try:
            return audit_chain(queries, RUN).head
        finally:
            queries.close()


@pytest.fixture
def forger(recorded: Home, tmp_path: Path) -> Forger:
    shutil.copytree(recorded.path, tmp_path / "forged")
    return Forger(Home(tmp_path / "forged", recorded.data_extra))


def verified(home: Home, *, head: str = "", tasks: int = 0, seed: int = 1, name: str = RUN) -> Verification:
    return asyncio.run(verify(home, name, seed=seed, most_tasks=tasks, head=head))


def test_a_run_that_nobody_touched_is_verified_by_all_paths(recorded: Home) -> None:
    found = verified(recorded, tasks=12)
    assert found.failed == []
    figure = next(one for one in found.figures if one.metric == "exact_match_robust")
    assert [figure.published, figure.numpy, figure.sql] == pytest.approx([2 / 3] * 3)
    assert {one.stratum for one in found.reexecuted} == {"passed", "failed"}
    assert len(found.reexecuted) == 12
    areas = {one.area for one in found.checks}
    assert areas == {"chain", "data", "model", "code", "environment"}
    assert [one.outcome for one in found.checks if one.area == "data"] == ["ok", "ok"]


ROBUST = "WHERE name = 'exact_match_robust'"
FALSIFICATIONS: dict[str, tuple[str, str]] = {
    "a verdict": (
        "UPDATE attempts SET passed = true, score = 1 WHERE task_id = 'gsm8k/3'",
        "gsm8k/3.*was changed",
    ),
    "a score alone": ("UPDATE attempts SET score = 0.5 WHERE task_id = 'gsm8k/4'", "gsm8k/4.*was changed"),
    "an edited answer": (
        "UPDATE attempts SET completion = '#### 18' WHERE task_id = 'gsm8k/0'",
        "gsm8k/0.*was changed",
    ),
    "a removed attempt": ("DELETE FROM attempts WHERE task_id = 'gsm8k/6'", "gsm8k/6.*was removed"),
    "an added attempt": (
        "INSERT INTO attempts SELECT * REPLACE (1 AS attempt) FROM attempts WHERE task_id = 'gsm8k/1'",
        "gsm8k/1, attempt 1.*was added",
    ),
    "attempts in another order": (
        "CREATE TABLE kept AS SELECT * FROM attempts WHERE task_id = 'gsm8k/2';"
        "DELETE FROM attempts WHERE task_id = 'gsm8k/2';"
        "INSERT INTO attempts SELECT * FROM kept; DROP TABLE kept",
        "another order.*gsm8k/2",
    ),
    "an attempt moved to another task": (
        "UPDATE attempts SET task_id = 'gsm8k/999' WHERE task_id = 'gsm8k/5'",
        "gsm8k/999.*was added",
    ),
    "a published score": (f"UPDATE metrics SET value = 0.9 {ROBUST}", "published as 0.9"),
    "a narrowed interval": (f"UPDATE metrics SET ci_low = 0.66 {ROBUST}", "its ci_low was published as 0.66"),
    "a figure left out": ("DELETE FROM metrics WHERE name = 'exact_match_strict'", "was not published"),
    "a swapped model": (
        """UPDATE runs SET environment = '{"model": {"sha256": "aa", "files": {"w.safetensors": "bb"}}}'""",
        "model: files: recorded as aa",
    ),
    "another temperature": (
        """UPDATE runs SET config = replace(config::VARCHAR, '"top_p": 1.0', '"top_p": 0.9')::JSON""",
        "the run's row, its benchmarks or its metrics were changed",
    ),
    "a swapped dataset": (
        "UPDATE run_benchmarks SET datasets = replace(datasets::VARCHAR, '3730', '0000')::JSON",
        "the manifest of this version promises",
    ),
    "an entry of the chain": (
        "DELETE FROM attempt_chain WHERE position = 7",
        "entry 7 of the chain is missing",
    ),
    "the whole chain removed": ("DELETE FROM attempt_chain", "there is no chain"),
}


@pytest.mark.parametrize("what", FALSIFICATIONS)
def test_a_falsification_is_found_and_named(forger: Forger, what: str) -> None:
    sql, said = FALSIFICATIONS[what]
    forger.change(sql)
    found = verified(forger.home)
    assert not found.passed
    assert any(re.search(said, line) for line in found.failed), found.failed


def test_a_verdict_changed_together_with_its_metrics_is_found(forger: Forger) -> None:
    """The figures fit the attempts again; the chain does not."""
    falsify_all_but_the_chain(forger)
    found = verified(forger.home)
    assert not [one for one in found.figures if one.problem]
    assert any("gsm8k/3, attempt 0, seed 0 was changed" in line for line in found.failed)


def falsify_all_but_the_chain(forger: Forger) -> None:
    """One failed task passes, and every figure follows."""
    right = {f"gsm8k/{n}": [n % 3 != 0 or n == 3] for n in range(TASKS)}
    other = forger.home.path / "other"
    write_run(other, RUN, right)
    with duckdb.connect(str(forger.home.database)) as connection:
        connection.execute(f"ATTACH '{other}/stackbench.duckdb' AS other (READ_ONLY)")
        connection.execute("DELETE FROM metrics; INSERT INTO metrics SELECT * FROM other.metrics")
    passes = '{"robust": true, "flexible": true, "strict": true}'
    forger.change(
        f"UPDATE attempts SET passed = true, score = 1, error = NULL, reason = 'passed', metrics = '{passes}' "
        "WHERE task_id = 'gsm8k/3'"
    )


def test_another_model_under_the_same_name_is_found_though_its_hashes_were_made_to_fit(
    forger: Forger, tmp_path: Path
) -> None:
    weights = tmp_path / "model" / "model.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")

    def claim(content: bytes) -> Verification:
        hashes = FileHashes({weights.name: hashlib.sha256(content).hexdigest()})
        described = json.dumps({"model": {"target": str(weights.parent), **hashes.describe()}})
        forger.change(f"UPDATE runs SET environment = '{described}'")
        forger.chain_anew()
        return verified(forger.home)

    assert claim(b"weights").passed
    (only,) = claim(b"other weights").failed
    assert re.search("model: bytes on this machine: .*has not the run's bytes: model.safetensors", only)


def test_a_chain_made_anew_is_found_by_the_hash_that_was_noted(forger: Forger) -> None:
    noted = forger.head()
    falsify_all_but_the_chain(forger)
    forged = forger.chain_anew()
    assert forged != noted
    assert verified(forger.home).passed, "nothing in the database tells it"
    assert any("it was noted to end with" in line for line in verified(forger.home, head=noted).failed)


def test_a_chain_made_anew_is_found_by_executing_verdicts_again(forger: Forger) -> None:
    """Whichever seed draws the sample: here all tasks are in it."""
    falsify_all_but_the_chain(forger)
    forger.chain_anew()
    found = verified(forger.home, tasks=TASKS)
    assert [line for line in found.failed if line.startswith("verdicts")] == [
        "verdicts: gsm8k gsm8k/3, attempt 0, seed 0: recorded as passed, executed again it is failed"
    ]


def test_an_answer_swapped_for_a_right_one_needs_the_chain(forger: Forger) -> None:
    """A right answer in the place of a wrong one passes when it is executed again: the hash of the row tells it."""
    falsify_all_but_the_chain(forger)
    forger.change("UPDATE attempts SET completion = '#### 540' WHERE task_id = 'gsm8k/3'")
    found = verified(forger.home, tasks=TASKS)
    assert not [line for line in found.failed if line.startswith("verdicts")]
    assert any("gsm8k/3, attempt 0, seed 0 was changed" in line for line in found.failed)


def bundled(home: Home, to: Path) -> Path:
    queries = open_queries(home.database, home.socket)
    try:
        write_bundle(queries, RUN, to)
    finally:
        queries.close()
    return to


def test_a_bundle_is_verified_without_the_database_it_came_from(recorded: Home, tmp_path: Path) -> None:
    folder = bundled(recorded, tmp_path / "bundle")
    with tarfile.open(tmp_path / "bundle.tar.gz", "w:gz") as archive:
        archive.add(folder, "stackbench-run")
    elsewhere = Home(tmp_path / "empty", recorded.data_extra)
    for name in (folder, tmp_path / "bundle.tar.gz"):
        found = verified(elsewhere, name=str(name), tasks=4)
        assert found.failed == [] and len(found.reexecuted) >= 4


@pytest.mark.parametrize(
    ("falsify", "said"),
    [
        (lambda folder: (folder / "notes.txt").write_text("x"), "notes.txt: is not in the manifest"),
        (lambda folder: (folder / "tables" / "metrics.parquet").unlink(), "tables/metrics.parquet: is missing"),
        (lambda folder: (folder / MANIFEST).unlink(), "nothing tells what the files are to be"),
        (lambda folder: _flip(folder / "tables" / "events.parquet"), "tables/events.parquet: was changed"),
    ],
)
def test_a_bundle_with_a_file_changed_is_found(
    recorded: Home, tmp_path: Path, falsify: Callable[[Path], object], said: str
) -> None:
    folder = bundled(recorded, tmp_path / "bundle")
    falsify(folder)
    assert any(said in line for line in verified(recorded, name=str(folder)).failed)


def _flip(path: Path) -> None:
    """Another time of writing in the file's footer leaves its rows as they are."""
    text = path.read_bytes()
    path.write_bytes(text.replace(b"DuckDB", b"duckdb", 1))
    assert text != path.read_bytes()


def test_a_bundle_whose_tables_and_manifest_were_changed_together_is_found_by_the_chain(
    forger: Forger, tmp_path: Path
) -> None:
    forger.change("UPDATE attempts SET passed = true, score = 1 WHERE task_id = 'gsm8k/3'")
    folder = bundled(forger.home, tmp_path / "bundle")
    write_manifest(folder)
    found = verified(forger.home, name=str(folder))
    assert any("gsm8k/3, attempt 0, seed 0 was changed" in line for line in found.failed)


def test_another_seed_draws_other_tasks_and_the_same_the_same(recorded: Home) -> None:
    drawn = [[one.task_id for one in verified(recorded, tasks=6, seed=seed).reexecuted] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["verify", *words])
    shown = capsys.readouterr()
    return int(ended.value.code or 0), shown.out, shown.err


def test_the_command_prints_a_table_to_sign_or_json(
    recorded: Home, forger: Forger, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = said(capsys, RUN, "--home", str(recorded.path), "--tasks", "0")
    assert code == 0 and "verified: nothing is other than published" in out and "signature" in out
    forger.change("UPDATE metrics SET value = 0.9 WHERE name = 'exact_match_robust'")
    code, out, err = said(capsys, RUN, "--home", str(forger.home.path), "--tasks", "0", "--json")
    document = json.loads(out)
    assert (code, document["passed"], document["seed"] >= 0) == (1, False, True)
    assert any("published as 0.9" in line for line in document["failed"]) and "published as 0.9" in err


def test_what_is_no_run_and_no_bundle_is_refused(
    recorded: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("no archive\n")
    for name, fault in (
        ("nobody", 'no run "nobody"'),
        (".", "holds no tables/attempts.parquet"),
        ("notes.txt", "neither a folder nor an archive"),
    ):
        code, out, err = said(capsys, name, "--home", str(recorded.path))
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert fault in err
