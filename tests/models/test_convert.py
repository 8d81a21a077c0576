"""A GGUF file becomes safetensors; what the library draws meanwhile does not reach the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackbench.fetch import sha256_of
from stackbench.models.convert import convert_gguf
from stackbench.models.sources import HASHES
from tests.models.tiny_gguf import write_tiny_gguf


def test_a_conversion_counts_bytes_and_writes_nothing_to_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="needs the local extra")
    file = tmp_path / "tiny.gguf"
    size = write_tiny_gguf(file)
    counts: list[tuple[str, int, int]] = []
    capfd.readouterr()
    convert_gguf(file, tmp_path / "ready", sha256_of(file), lambda *one: counts.append(one))
    assert capfd.readouterr() == ("", "")
    assert {(what, total) for what, _, total in counts} == {("converting tiny.gguf", size)}
    done = [done for _, done, _ in counts]
    assert len(done) == 15 and done == sorted(done) and done[-1] == size
    assert "model.safetensors" in (tmp_path / "ready" / HASHES).read_text()
