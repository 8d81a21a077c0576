"""The publication package: each form read by its owner's library or validator, with the figures of results.json."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import parse_eval_result_entries
from huggingface_hub.repocard_data import model_index_to_eval_results

from stackbench.config import Home
from stackbench.publish.package import write_package
from stackbench.publish.publication import Publication, hub_id
from stackbench.report.bundle import unpack_bundle
from stackbench.report.results_model import Results
from stackbench.store import LocalQueries, open_database, open_queries
from stackbench.store.chain_audit import audit_chain
from stackbench.store.run_tables import load_tables
from tests.report.recorded_results import HOSTILE, Part, collected, make_home, record_run

MODEL = "test-org/Test-Model"
GSM8K = Part("gsm8k", tasks=20, available=20, datasets={"gsm8k/test.jsonl": "37" * 32}, texts=HOSTILE)
PARTS = (
    Part(tasks=20, attempts=2, seeds=(0, 1), errors=3),
    GSM8K,
    Part("tooluse", tasks=6, available=500, categories=("files", "api"), datasets={"tasks": "aa" * 32}),
    Part("throughput", tasks=1, available=1, datasets={}),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = make_home(tmp_path_factory.mktemp("home"))
    record_run(home, parts=PARTS)
    return home


@pytest.fixture(scope="module")
def results(home: Home) -> Results:
    return collected(home)


@pytest.fixture(scope="module")
def package(home: Home, results: Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("package")
    publication = Publication(results, MODEL, ("Doe, Jane", "A Laboratory"), licence="CC-BY-4.0")
    queries = open_queries(home.database, home.socket)
    try:
        list(write_package(publication, queries, to))
    finally:
        queries.close()
    return to


def values(results: Results) -> dict[tuple[str, str, str], float]:
    return {(one.name, m.category, m.name): m.value for one in results.runs[0].benchmarks for m in one.measures}


def aggregates(package: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted((package / "every-eval-ever").rglob("*.json")):
        yield path, json.loads(path.read_text())


def test_the_hub_gets_whole_benchmarks_in_its_unit_and_the_rest_is_named(package: Path, results: Results) -> None:
    files = [path.name for path in (package / "huggingface" / ".eval_results").iterdir()]
    assert files == ["gsm8k.yaml"]
    (entry,) = parse_eval_result_entries(yaml.safe_load((package / "huggingface/.eval_results/gsm8k.yaml").read_text()))
    share = values(results)["gsm8k", "", "exact_match_flexible"]
    assert (entry.dataset_id, entry.task_id, entry.date) == ("openai/gsm8k", "gsm8k", "2026-11-26")
    assert entry.value == pytest.approx(share * 100)
    assert entry.notes is not None and "95% interval [" in entry.notes and "n=20; chat, 0 examples" in entry.notes
    left = (package / "huggingface" / "LEFT_OUT.md").read_text()
    assert all(f"- {name} (run " in left for name in ("humaneval", "tooluse", "throughput")) and "gsm8k" not in left


def test_the_model_index_is_read_by_the_hubs_own_library(package: Path, results: Results) -> None:
    index = yaml.safe_load((package / "huggingface" / "model-index.yaml").read_text())["model-index"]
    name, (found,) = model_index_to_eval_results(index)
    assert (name, found.dataset_type, found.metric_type) == ("Test-Model", "openai/gsm8k", "exact_match_robust")
    assert found.metric_value == values(results)["gsm8k", "", "exact_match_robust"]


def test_every_eval_ever_has_each_measure_and_each_completed_attempt(package: Path, results: Results) -> None:
    found: dict[tuple[str, str, str], float] = {}
    for path, document in aggregates(package):
        benchmark = path.parts[-4]
        for one in document["evaluation_results"]:
            category = one["evaluation_name"].partition("/")[2]
            name = one["metric_config"]["metric_name"]
            found[benchmark, category, name] = one["score_details"]["score"]
        detailed = document.get("detailed_evaluation_results")
        assert (detailed is None) == (benchmark == "throughput")
        if detailed is not None:
            text = (package / "every-eval-ever" / detailed["file_path"]).read_bytes()
            assert hashlib.sha256(text).hexdigest() == detailed["checksum"]
            assert detailed["total_rows"] == {"humaneval": 77, "gsm8k": 20, "tooluse": 6}[benchmark]
    assert found == values(results)


def test_an_agents_attempt_is_its_chat(package: Path) -> None:
    (path,) = (package / "every-eval-ever" / "data" / "tooluse").rglob("*_samples.jsonl")
    first = json.loads(path.read_text().splitlines()[0])
    assert first["interaction_type"] == "agentic" and first["output"] is None
    assert [(m["role"], m["content"]) for m in first["messages"]] == [
        ("system", "Be brief."), ("user", "Read a.txt."), ("assistant", ""), ("tool", "one line"),
        ("assistant", "It holds one line."),
    ]  # fmt: skip
    (call,) = first["messages"][2]["tool_calls"]
    assert (call["name"], call["arguments"]) == ("read", {"path": "a.txt", "lines": "3"})
    assert first["messages"][3]["tool_call_id"] == [call["id"]]


def validator(name: str) -> str:
    folder = os.environ.get("STACKBENCH_VALIDATORS", "")
    path = Path(folder) / name
    if not folder or not path.is_file():
        pytest.skip(
            f"needs the validator {path.name}: scripts/validators makes it, STACKBENCH_VALIDATORS names its folder"
        )
    return str(path)


def validated(package: Path, files: str) -> list[dict[str, Any]]:
    """What Every Eval Ever's own validator says of files, one report each."""
    done = subprocess.run(
        [validator("eee/bin/every_eval_ever"), "validate", files, "--format", "json"],
        capture_output=True, text=True, cwd=package / "every-eval-ever", check=False,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_every_eval_evers_own_validator_accepts_the_files(package: Path) -> None:
    reports = validated(package, "data/*/*/*/*")
    assert len(reports) == 7
    assert [(r["errors"], r["warnings"]) for r in reports if not r["valid"] or r["warnings"]] == []


def test_every_eval_evers_own_validator_is_not_content_with_anything(package: Path) -> None:
    (path,) = (package / "every-eval-ever/data/gsm8k").rglob("*_samples.jsonl")
    whole = path.read_bytes()
    try:
        path.write_bytes(whole.replace(b'"gsm8k/0"', b"0", 1))
        assert not all(report["valid"] for report in validated(package, "data/gsm8k/*/*/*"))
    finally:
        path.write_bytes(whole)


def test_the_citation_is_valid(package: Path) -> None:
    document = yaml.safe_load((package / "CITATION.cff").read_text())
    assert document["authors"] == [{"family-names": "Doe", "given-names": "Jane"}, {"name": "A Laboratory"}]
    program = validator("cff/bin/cffconvert")
    done = subprocess.run(
        [program, "--validate", "-i", str(package / "CITATION.cff")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "valid according to schema version 1.2.0" in done.stdout + done.stderr


def test_hashes_find_a_changed_file(package: Path) -> None:
    check = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
    assert subprocess.run(check, cwd=package, check=False).returncode == 0
    listed = {line.split("  ", 1)[1] for line in (package / "SHA256SUMS").read_text().splitlines()}
    there = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    assert there - listed == {"SHA256SUMS", f"archive/stackbench-test-org-test-model-{RUN}.tar.gz"}
    path = package / "report" / "results.json"
    whole = path.read_text()
    try:
        path.write_text(whole.replace('"passed": 1', '"passed": 0', 1))
        done = subprocess.run(check, cwd=package, capture_output=True, text=True, check=False)
        assert done.returncode == 1 and "report/results.json: FAILED" in done.stdout
    finally:
        path.write_text(whole)


def test_the_bundle_is_one_that_verify_reads_and_a_changed_table_is_found(package: Path, tmp_path: Path) -> None:
    bundle = package / "bundle" / RUN
    tables, problems = unpack_bundle(bundle, tmp_path)
    assert (tables / "attempts.parquet").is_file() and problems == []
    path = tables / "metrics.parquet"
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
        assert [problem.path for problem in unpack_bundle(bundle, tmp_path)[1]] == ["tables/metrics.parquet"]
    finally:
        path.write_bytes(whole)


RUN = "20261126-090000-aaaaaa"


def test_the_archive_holds_every_file_and_says_nothing_of_its_maker(package: Path) -> None:
    (path,) = (package / "archive").glob("*.tar.gz")
    with tarfile.open(path) as tar:
        names = {entry.name.partition("/")[2] for entry in tar}
        listed = {line.split("  ", 1)[1] for line in (package / "SHA256SUMS").read_text().splitlines()}
        assert names == listed | {"SHA256SUMS"}
        assert {(entry.uid, entry.gid, entry.uname, entry.mtime) for entry in tar} == {(0, 0, "", 1795683840)}


def test_all_answers_have_their_seeds_and_parameters(package: Path) -> None:
    rows = [json.loads(line) for line in (package / "answers" / f"{RUN}.jsonl").read_text().splitlines()]
    assert len(rows) == 80 + 20 + 6 + 1
    assert {row["seed"] for row in rows if row["benchmark"] == "humaneval"} == {0, 1}
    assert all(row["sampling"][0]["temperature"] == 0.8 and row["sampling"][0]["seed"] for row in rows)
    hostile = next(row for row in rows if row["benchmark"] == "gsm8k")
    assert hostile["completion"].startswith(HOSTILE)


def test_exclusions_are_named_one_by_one(package: Path) -> None:
    text = (package / "EXCLUSIONS.md").read_text()
    assert "attempts that ended in errors, 3: the endpoint answered 503\n    - humaneval/0" in text
    assert "tasks that were not selected, 144" in text and "tasks that were not selected, 494" in text


def test_papers_and_deposits_hold_the_figures(package: Path, results: Results) -> None:
    table = (package / "paper" / "results-table.tex").read_text()
    for one in results.runs[0].benchmarks:
        assert one.head is not None
        assert f"& {one.head.value:.4f}" in table or f"& {one.head.value:.2f}" in table
    document = json.loads((package / "papers-with-code" / "evaluation-tables.json").read_text())
    assert [(one["task"], one["datasets"][0]["dataset"]) for one in document] == [("Arithmetic Reasoning", "GSM8K")]
    metadata = json.loads((package / "archive" / "zenodo.json").read_text())["metadata"]
    assert (metadata["upload_type"], metadata["version"], metadata["license"]) == ("dataset", RUN, "CC-BY-4.0")
    assert json.loads((package / "archive" / "figshare.json").read_text())["authors"][0] == {"name": "Jane Doe"}
    listing = json.loads((package / "openrouter" / "listing-metrics.json").read_text())
    assert {one["benchmark"] for one in listing["benchmarks"]} == {"humaneval", "gsm8k", "tooluse"}
    assert "no format" in listing["note"] and listing["speed"][0]["interval"] == "range"


def test_the_environment_pins_what_the_run_recorded(package: Path) -> None:
    lock = (package / "environment" / "requirements.lock").read_text()
    assert "\ntorch==2.13.0\n" in lock and "duckdb==" in lock and "stackbench-eval" not in lock
    assert "FROM python:3.11.7-slim-bookworm" in (package / "environment" / "Dockerfile").read_text()


def test_the_checklist_says_what_is_done_and_what_is_not(package: Path) -> None:
    text = (package / "CHECKLIST.md").read_text()
    assert "- [x] every run is completed" in text
    assert "- [!] every benchmark was run whole (humaneval, tooluse)" in text
    assert "- [ ] results sent to the model's repository" in text


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ("hf:qwen2.5-coder-0.5b-instruct", "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF"),
        ("vllm:some/repo", "some/repo"),
        ("openai:org/name@http://127.0.0.1:1/v1", "org/name"),
        ("openai:name@http://127.0.0.1:1/v1", None),
        ("hf:/a/folder", None),
    ],
)
def test_a_models_name_on_the_hub_is_found_where_it_can_be(model: str, found: str | None) -> None:
    assert hub_id(model) == found


def test_a_package_holds_the_run_as_verify_reads_it(package: Path, tmp_path: Path) -> None:
    """Its chain fits, and a file of the package that was changed is named."""
    (archive,) = (package / "archive").glob("*.tar.gz")
    tables, problems = unpack_bundle(archive, tmp_path)
    assert problems == []
    load_tables(tables, tmp_path / "db.duckdb")
    connection = open_database(tmp_path / "db.duckdb", read_only=True)
    ((run_id,),) = connection.execute("SELECT run_id FROM runs").fetchall()
    assert audit_chain(LocalQueries(connection), run_id).problems == ()
    connection.close()
    folder = tables.parents[2]
    (folder / "EXCLUSIONS.md").write_text("nothing was left out")
    assert [(one.path, one.what[:11]) for one in unpack_bundle(folder, tmp_path)[1]] == [
        ("EXCLUSIONS.md", "was changed")
    ]
