"""Headers of weights that cannot be are one error, found without following them."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from stackbench.errors import ModelNotAvailableError
from stackbench.models.headers import check_gguf, check_weights

GOOD = json.dumps({"__metadata__": {"format": "pt"}, "w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})


def safetensors(header: str, data: bytes = b"\0" * 8, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header.encode() + data


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "its header has 0 bytes"),
        (b"\1\2", "its header has 0 bytes"),
        (safetensors(GOOD, length=0), "its header has 0 bytes"),
        (safetensors(GOOD, length=1 << 63), "its header has 9,223,372,036,854,775,808 bytes by its own account"),
        (safetensors(GOOD, length=len(GOOD) + 9), "by its own account, the file"),
        (safetensors("nonsense"), "is no JSON"),
        (safetensors("[1]"), "is no JSON object"),
        (safetensors('{"w": ' + "[" * 5000 + "]" * 5000 + "}"), "is no JSON"),
        (safetensors(GOOD, data=b"\0" * 7), "'w' does not lie within its 7 bytes"),
        (safetensors(GOOD.replace("[0, 8]", "[0, 1e300]")), "does not lie within"),
        (safetensors(GOOD.replace("[0, 8]", "[-8, 8]")), "does not lie within"),
        (safetensors(GOOD.replace("[0, 8]", "[8, 0]")), "does not lie within"),
        (safetensors(GOOD.replace("[0, 8]", '"all"')), "does not lie within"),
        (safetensors('{"w": null}'), "does not lie within"),
        (b"\xff" * 64, "by its own account"),
    ],
)
def test_a_safetensors_header_that_cannot_be_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelNotAvailableError, match=why):
        check_weights(tmp_path)


def test_good_weights_pass_with_their_index(tmp_path: Path) -> None:
    (tmp_path / "model-1.safetensors").write_bytes(safetensors(GOOD))
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": "model-1.safetensors"}}))
    check_weights(tmp_path)


@pytest.mark.parametrize("name", ["../x.safetensors", "/etc/passwd", "gone.safetensors", 7, None, "a\\b", ""])
def test_an_index_leads_to_files_of_its_folder(tmp_path: Path, name: object) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": name}}))
    with pytest.raises(ModelNotAvailableError, match="no file of its folder"):
        check_weights(tmp_path)


def gguf(version: int, tensors: int, pairs: int, more: bytes = b"\0" * 100) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, pairs) + more


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is no GGUF file"),
        (b"GGUF", "is no GGUF file"),
        (b"ZIP!" + bytes(60), "is no GGUF file"),
        (gguf(1, 0, 0), "has version 1 of GGUF"),
        (gguf(1 << 31, 0, 0), "has version"),
        (gguf(3, 1 << 60, 0), "counts 1,152,921,504,606,846,976 tensors"),
        (gguf(3, 0, (1 << 64) - 1), "18,446,744,073,709,551,615 keys"),
        (gguf(3, 6, 0), "its size is 124 bytes"),
    ],
)
def test_a_gguf_header_that_cannot_be_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelNotAvailableError, match=why):
        check_gguf(path)


def test_a_gguf_header_that_can_be_passes(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(gguf(3, 2, 3))
    check_gguf(path)


def test_nothing_that_a_header_promises_is_allocated(tmp_path: Path) -> None:
    """In a process whose address space holds little more than the interpreter."""
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", (100 << 20) + 1))
        file.truncate(1 << 40)
    with (tmp_path / "x.gguf").open("wb") as file:
        file.write(gguf(3, 1 << 40, 1 << 40))
        file.truncate(1 << 40)
    program = f"""
import resource
from pathlib import Path
from stackbench.errors import ModelNotAvailableError
from stackbench.models.headers import check_gguf, check_weights
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (32 << 20), resource.RLIM_INFINITY))
for check, path in ((check_weights, {str(tmp_path)!r}), (check_gguf, {str(tmp_path / "x.gguf")!r})):
    try:
        check(Path(path))
    except ModelNotAvailableError as error:
        print("refused")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("refused\nrefused\n", "")
