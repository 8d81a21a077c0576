from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from stackbench.placing import PlaceError, open_for_writing, place_below

BAD = [
    "", ".", "..", "../x", "a/../../x", "a/..", "/etc/x", "//x", "a//b", "a/", "./x", "a/./b", "..\\x", "a\\b",
    "C:/x", "c:x", "nul\0byte", "line\nbreak", "bell\x07", "\x1b]0;title", "right\u202eleft", "x" * 256,
    "é" * 128, "/".join("a" * 30), "lone\ud800", "d/" * 17 + "x", "a/" + "b" * 200 + "/" + "c" * 900,
]  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_name_that_leads_out_or_is_none_writes_nothing(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "home"
    with pytest.raises(PlaceError, match="no name of a file below"):
        place_below(folder, name)
    assert not folder.exists()


@pytest.mark.parametrize("name", ["x.json", "a/b/c.txt", "..x", "x..", "a b", "тест", "x" * 255])
def test_a_name_below_the_folder_has_a_place(tmp_path: Path, name: str) -> None:
    place = place_below(tmp_path, name)
    assert place == tmp_path / name and place.parent.is_dir()


def test_links_among_the_folders_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    home = tmp_path / "home"
    home.mkdir()
    (home / "sub").symlink_to(outside)
    (home / "file").write_text("")
    for name in ("sub/x", "sub/deeper/x", "file/x"):
        with pytest.raises(PlaceError):
            place_below(home, name)
    assert list(outside.iterdir()) == []


def test_what_is_no_ordinary_file_is_neither_opened_nor_written(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("mine")
    (tmp_path / "link").symlink_to(kept)
    (tmp_path / "dangling").symlink_to(tmp_path / "new")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))
        for name in ("link", "dangling", "pipe", "folder", "socket"):
            with pytest.raises(PlaceError, match="no ordinary file"):
                place_below(tmp_path, name)
            with pytest.raises(PlaceError, match="no ordinary file"):
                open_for_writing(tmp_path / name)
    with pytest.raises(PlaceError):
        open_for_writing(Path("/dev/null"))
    assert kept.read_text() == "mine" and not (tmp_path / "new").exists()


def test_a_file_is_written_anew_or_goes_on(tmp_path: Path) -> None:
    for append, content in ((False, b"one"), (True, b"two"), (False, b"three")):
        with open_for_writing(tmp_path / "x", append=append) as file:
            file.write(content)
    assert (tmp_path / "x").read_bytes() == b"three"
