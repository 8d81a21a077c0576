"""Pulls of models from a hub that means harm, or is broken: nothing is written outside, nor more than was announced."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from stackbench.errors import ModelNotAvailableError, UsageError
from stackbench.models.pull import locate
from tests.fake_hub import FakeHub

pytest.importorskip("huggingface_hub", reason="needs the local extra")


@pytest.fixture
async def hub(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeHub]:
    hub = FakeHub()
    hub.files = {"config.json": b"{}", "model.safetensors": os.urandom(1 << 20)}
    await hub.start()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    yield hub
    await hub.stop()


def files_of(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if not path.is_dir() and path.parent.name != ".locks"
    }


async def pull(folder: Path, say: Callable[[str], None] = lambda line: None) -> Path:
    return await asyncio.to_thread(locate, "owner/name", folder / "home" / "models", say)


async def refused(folder: Path, why: str) -> None:
    before = files_of(folder)
    with pytest.raises(ModelNotAvailableError, match=why) as caught:
        await pull(folder)
    assert len(str(caught.value).splitlines()) == 1
    written = {name for name in files_of(folder) - before if not name.startswith("home/models/owner--name.fresh/")}
    assert written == set()


async def test_a_repository_is_pulled(tmp_path: Path, hub: FakeHub) -> None:
    hub.files["onnx/config.json"] = b"[]"
    hub.files["model.safetensors"] = bytes(16 << 20)
    said: list[str] = []
    ready = await pull(tmp_path, said.append)
    assert said[0] == "owner/name: fetching from the hub"
    done = [int(line.removeprefix("owner/name: ").split(" of 17 MB")[0]) for line in said[1:]]
    assert 1 <= len(done) <= 4 and done == sorted(done) and done[-1] == 17, "each quarter is said"
    assert ready == tmp_path / "home" / "models" / "owner--name"
    assert (ready / "onnx" / "config.json").read_bytes() == b"[]"


@pytest.mark.parametrize(
    "name",
    [
        "../x.json", "../../../x.json", "a/../../../x.json", "/tmp/stackbench-x.json", "..\\x.json", "a//x.json",
        "x" * 300 + ".json", "d/" * 20 + "x.json", "nul\0.json", "new\nline.json", "stackbench.origin.json",
        "sub/stackbench.origin.json", "\x1b[2J.json", "config.json/x.json",
    ],
)  # fmt: skip
async def test_no_name_leads_out_of_the_models_folder(tmp_path: Path, hub: FakeHub, name: str) -> None:
    hub.files[name] = b"{}"
    await refused(tmp_path, "nothing is written|no folder|no place for")
    assert not (tmp_path / "home" / "models" / "owner--name").exists()


async def test_links_that_are_there_already_are_not_followed(tmp_path: Path, hub: FakeHub) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    fresh = tmp_path / "home" / "models" / "owner--name.fresh"
    fresh.mkdir(parents=True)
    hub.files["sub/x.json"] = b"{}"
    (fresh / "sub").symlink_to(outside)
    await refused(tmp_path, "a link is not followed")
    (fresh / "sub").unlink()
    (fresh / "config.json").symlink_to(outside / "new")
    await refused(tmp_path, "a link is not followed")
    (fresh / "config.json").unlink()
    (fresh / "config.json.part").symlink_to(outside / "new")
    await refused(tmp_path, "a link is not followed|no ordinary file")
    shutil.rmtree(fresh)
    fresh.symlink_to(outside)
    await refused(tmp_path, "a link is not followed")
    assert list(outside.iterdir()) == []


async def test_a_pipe_in_a_files_place_is_not_waited_for(tmp_path: Path, hub: FakeHub) -> None:
    fresh = tmp_path / "home" / "models" / "owner--name.fresh"
    fresh.mkdir(parents=True)
    os.mkfifo(fresh / "config.json.part")
    await asyncio.wait_for(refused(tmp_path, "no ordinary file"), 20)


async def test_no_more_is_taken_than_was_announced(tmp_path: Path, hub: FakeHub) -> None:
    hub.announced["config.json"] = 1
    await refused(tmp_path, "would send 2 bytes, more than the 1 that were announced")
    hub.announced["config.json"] = 3
    await refused(tmp_path, "sent 2 bytes, and 3 were announced")
    hub.announced.clear()
    hub.endless.add("config.json")
    await refused(tmp_path, "sends more than the 2 bytes that were announced")
    assert hub.sent["config.json"] < 64 << 20
    hub.endless.clear()
    hub.announced["model.safetensors"] = 1 << 60
    await refused(tmp_path, "has room for")


@pytest.mark.parametrize("scheme", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:text/plain,x"])
async def test_no_other_place_is_read_than_the_web(tmp_path: Path, hub: FakeHub, scheme: str) -> None:
    hub.leads_to["config.json"] = scheme
    await refused(tmp_path, "only http and https are followed")


@pytest.mark.parametrize(
    "name", ["../x", "a/..", "a/b/c", "a/b@../../x", "a\\b/c", "/nowhere/x", "a/" + "b" * 300, "x" * 5000, "a/b\0"]
)
def test_no_id_leads_out_of_the_models_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)  # a folder that is there would be meant
    with pytest.raises(UsageError, match="unknown model"):
        locate(name, tmp_path / "models", lambda line: None)
    assert files_of(tmp_path) == set()
