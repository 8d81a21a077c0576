"""Which model talks with a person, by what the machine has."""

from __future__ import annotations

import pytest

from stackbench.config import DEFAULT_MODEL
from stackbench.models import interactive
from stackbench.models.interactive import interactive_model
from stackbench.models.manifest import load_manifest


@pytest.mark.parametrize(
    ("installed", "bfloat16", "gpus", "kind"),
    [
        (True, False, 0, "gguf"),
        (False, False, 0, "hf"),
        (True, True, 0, "hf"),
        (True, False, 1, "hf"),
    ],
)
def test_llama_cpp_is_for_processors_without_bfloat16_and_gpu(
    monkeypatch: pytest.MonkeyPatch, installed: bool, bfloat16: bool, gpus: int, kind: str
) -> None:
    monkeypatch.setattr(interactive, "find_spec", lambda name: object() if installed else None)
    monkeypatch.setattr(interactive, "cpu_has_bfloat16", lambda: bfloat16)
    monkeypatch.setattr(interactive, "list_gpus", lambda: [{"name": "a GPU"}] * gpus)
    assert interactive_model() == f"{kind}:{DEFAULT_MODEL.partition(':')[2]}"
    assert load_manifest()[interactive_model().partition(":")[2]].sha256  # both kinds can load it
