"""The hashes of a model are those of the bytes that are there when it is loaded."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from stackbench.errors import ModelNotAvailableError
from stackbench.models import loaded_files
from stackbench.models.loaded_files import CACHE, hash_loaded

FILES = {
    "config.json": b"{}",
    "generation_config.json": b'{"top_k": 1}',
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b"{}",
    "chat_template.jinja": b"{{ messages }}",
    "merges.txt": b"a b",
    "model-00001-of-00002.safetensors": bytes(range(256)) * 64,
    "model-00002-of-00002.safetensors": bytes(range(255, -1, -1)) * 64,
    "model.safetensors.index.json": b"{}",
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    long_ago = time.time() - 100
    for path in folder.iterdir():
        os.utime(path, (long_ago, long_ago))
    (folder / "stackbench.sha256").write_text("0" * 64 + "  model-00001-of-00002.safetensors\n")
    (folder / "README.md").write_text("not loaded")
    (folder / "license.txt").write_text("not loaded")
    return folder


@pytest.fixture
def cached(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files that were read, with a cache that takes files as young as these."""
    monkeypatch.setattr(loaded_files, "SETTLED_NS", -(1 << 62))
    read: list[Path] = []
    real = loaded_files._sha256
    monkeypatch.setattr(loaded_files, "_sha256", lambda path, stop: (read.append(path), real(path, stop))[1])
    return read


def test_every_file_that_is_loaded_is_hashed_and_the_side_file_is_not_believed(model: Path, tmp_path: Path) -> None:
    found = hash_loaded(model, tmp_path)
    assert found.files == {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(found.files.items()))
    assert found.describe() == {"files": dict(found.files), "sha256": hashlib.sha256(lines.encode()).hexdigest()}
    assert found.differences({"model-00001-of-00002.safetensors": "0" * 64, "gone": "1" * 64}) == [
        "gone", "model-00001-of-00002.safetensors",
    ]  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_one_bit_anywhere_is_another_model(model: Path, tmp_path: Path, cached: list[Path], name: str) -> None:
    before = hash_loaded(model, tmp_path)
    path = model / name
    state = path.stat()
    with path.open("r+b") as file:
        first = file.read(1)[0]
        file.seek(0)
        file.write(bytes([first ^ 1]))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))  # as whoever does not want it to be seen
    assert (path.stat().st_size, path.stat().st_mtime_ns, path.stat().st_ino) == (
        state.st_size, state.st_mtime_ns, state.st_ino,
    )  # fmt: skip
    after = hash_loaded(model, tmp_path)
    assert after.sha256 != before.sha256
    assert after.files[name] != before.files[name]
    assert {n for n in FILES if after.files[n] != before.files[n]} == {name}


def test_unchanged_files_are_not_read_again(model: Path, tmp_path: Path, cached: list[Path]) -> None:
    first = hash_loaded(model, tmp_path)
    assert len(cached) == len(FILES)
    assert hash_loaded(model, tmp_path) == first
    assert len(cached) == len(FILES)
    (model / "config.json").write_bytes(b"[]")
    hash_loaded(model, tmp_path)
    assert cached[len(FILES) :] == [model / "config.json"]
    shutil.move(model, tmp_path / "moved")
    assert hash_loaded(tmp_path / "moved", tmp_path).files.keys() == FILES.keys()


def test_a_file_replaced_by_another_of_its_size_and_time_is_read(
    model: Path, tmp_path: Path, cached: list[Path]
) -> None:
    before = hash_loaded(model, tmp_path)
    path = model / "model-00001-of-00002.safetensors"
    state = path.stat()
    other = model / "other"
    other.write_bytes(FILES["model-00002-of-00002.safetensors"])
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
    os.replace(other, path)
    assert hash_loaded(model, tmp_path).sha256 != before.sha256


def test_a_file_that_is_young_is_read_each_time(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded_files, "SETTLED_NS", 1 << 62)
    hash_loaded(model, tmp_path)
    assert not (tmp_path / CACHE).exists()


def test_links_lead_to_what_is_hashed(model: Path, tmp_path: Path, cached: list[Path]) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in FILES:
        (linked / name).symlink_to(model / name)
    assert hash_loaded(linked, tmp_path) == hash_loaded(model, tmp_path)
    (linked / "config.json").unlink()
    (linked / "config.json").symlink_to(model / "generation_config.json")
    assert hash_loaded(linked, tmp_path).files["config.json"] == hashlib.sha256(b'{"top_k": 1}').hexdigest()


@pytest.mark.parametrize("content", ["", "nonsense", "[1]", '{"x": 1}', '{"x": {"state": 1, "sha256": 2}}', "[" * 9999])
def test_a_cache_that_is_damaged_is_made_anew(model: Path, tmp_path: Path, cached: list[Path], content: str) -> None:
    good = hash_loaded(model, tmp_path)
    (tmp_path / CACHE).write_text(content)
    assert hash_loaded(model, tmp_path) == good
    assert len(json.loads((tmp_path / CACHE).read_text())) == len(FILES)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_home_that_cannot_be_written_costs_no_run(model: Path, tmp_path: Path, cached: list[Path]) -> None:
    assert hash_loaded(model, tmp_path / "nowhere").files.keys() == FILES.keys()


def test_a_file_that_changes_while_it_is_read_is_refused(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(path: Path, stopping: object) -> str:
        path.write_bytes(b"more")
        return "0" * 64

    monkeypatch.setattr(loaded_files, "_sha256", slow)
    with pytest.raises(ModelNotAvailableError, match="changes while it is read"):
        hash_loaded(model, tmp_path)


def test_hashing_ends_soon_when_nobody_waits_any_more(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaded_files, "CHUNK", 1024)
    looked: list[int] = []

    def stopping() -> bool:
        looked.append(1)
        return len(looked) >= 10

    with pytest.raises(ModelNotAvailableError, match="hashing was given up"):
        hash_loaded(model, tmp_path, stopping)
    assert len(looked) == 10
