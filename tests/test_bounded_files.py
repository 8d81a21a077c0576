from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stackbench.bounded_files import bounded_lines, read_bounded
from stackbench.errors import UsageError


def packed(path: Path, data: bytes) -> Path:
    path.write_bytes(gzip.compress(data))
    return path


def test_lines_come_with_their_numbers_packed_or_not(tmp_path: Path) -> None:
    data = b"a\n\n  \nb\r\nc"
    (tmp_path / "f.jsonl").write_bytes(data)
    for path in (tmp_path / "f.jsonl", packed(tmp_path / "f.jsonl.gz", data)):
        assert list(bounded_lines(path)) == [(1, b"a\n"), (4, b"b\r\n"), (5, b"c")]


def test_a_line_and_the_whole_are_bounded(tmp_path: Path) -> None:
    path = packed(tmp_path / "f.gz", b"x" * 10 + b"\n" + b"y" * 11)
    assert len(list(bounded_lines(path, 11, 22))) == 2
    with pytest.raises(UsageError, match="line 2 is longer than"):
        list(bounded_lines(path, 10, 100))
    with pytest.raises(UsageError, match="larger than .* unpacked"):
        list(bounded_lines(path, 100, 21))
    with pytest.raises(UsageError, match="larger than .* unpacked"):
        list(bounded_lines(packed(tmp_path / "blank.gz", b"\n" * 1000), 10, 999))


@pytest.mark.parametrize(
    "broken",
    [b"", b"no gzip", gzip.compress(b"x" * 10_000)[:30], gzip.compress(b"x") + b"rest"],
    ids=["empty", "no archive", "cut", "more behind it"],  # an archive holds the time of its making
)
def test_a_broken_archive_is_named(tmp_path: Path, broken: bytes) -> None:
    path = tmp_path / "f.gz"
    path.write_bytes(broken)
    if broken:
        with pytest.raises(UsageError, match=r"f\.gz cannot be read"):
            list(bounded_lines(path))
    else:
        assert list(bounded_lines(path)) == []


def test_corrupt_data_in_an_archive_is_named(tmp_path: Path) -> None:
    whole = bytearray(gzip.compress(os.urandom(10_000)))
    whole[20:60] = b"\xff" * 40
    (tmp_path / "f.gz").write_bytes(whole)
    with pytest.raises(UsageError, match="cannot be read"):
        list(bounded_lines(tmp_path / "f.gz"))


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        for read in (lambda p: list(bounded_lines(p)), lambda p: read_bounded(p, 10)):
            with pytest.raises(UsageError, match="no regular file"):
                read(path)
    with pytest.raises(UsageError, match="cannot be read"):
        list(bounded_lines(tmp_path / "none"))


def test_a_text_is_bounded_and_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes("é".encode() * 5)
    assert read_bounded(path, 10) == "ééééé"
    with pytest.raises(UsageError, match="larger than"):
        read_bounded(path, 9)
    path.write_bytes(b"\xff")
    with pytest.raises(UsageError, match="is not UTF-8"):
        read_bounded(path, 9)


def test_an_archive_that_unpacks_without_end_takes_bounded_memory(tmp_path: Path) -> None:
    """Half a GiB in one line and in many, with 256 MiB of addresses."""
    zeros = gzip.compress(bytes(1 << 24), 1)
    (tmp_path / "line.gz").write_bytes(zeros * 32)
    (tmp_path / "lines.gz").write_bytes(gzip.compress(b"\n" * (1 << 24), 1) * 32)
    program = """
import resource, sys
from pathlib import Path
from stackbench.bounded_files import bounded_lines
from stackbench.errors import UsageError
resource.setrlimit(resource.RLIMIT_AS, (256 << 20, 256 << 20))
for name, most in (("line.gz", 1 << 30), ("lines.gz", 1 << 30)):
    try:
        print(len(list(bounded_lines(Path(sys.argv[1]) / name, None, most))))
    except UsageError as error:
        print("refused")
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.split() == ["refused", "refused"], done.stderr
