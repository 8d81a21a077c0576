"""Models by name: which there are, which are on this machine, whether one fits it, and fetching them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stackbench.config import Home
from stackbench.errors import ModelNotAvailableError
from stackbench.fetch import Progress
from stackbench.models.hardware import device_memory
from stackbench.models.manifest import ModelEntry, load_manifest
from stackbench.models.memory import Fit, entry_of, plan_fits, weight_bytes
from stackbench.models.pull import is_pulled, pull
from stackbench.models.registry import KINDS
from stackbench.voice.weights import find_weights, known_weights, weights_name
from stackbench.voice.weights_fetch import pull_weights

__all__ = [
    "Fit",
    "ListedModel",
    "ModelFits",
    "fetch_model",
    "list_models",
    "list_recognizers",
    "model_fits",
    "model_kinds",
    "named_models",
]

WHISPER_CONTEXT = 448
"""Tokens of a Whisper model's decoder."""


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model that is fetched by name."""

    model: str
    title: str
    parameters: int
    context: int
    """Tokens."""
    bytes: int
    """Of its files."""
    licence: str
    pulled: bool
    """Whether it is ready on this machine."""
    kind: str = "language"
    """`language`, or `speech` for a recogniser."""


@dataclass(frozen=True, slots=True)
class ModelFits:
    """What a model takes on this machine in each precision."""

    entry: ModelEntry
    device: str
    memory_bytes: int
    fits: Sequence[Fit]


def named_models() -> Mapping[str, ModelEntry]:
    """The models that are fetched by name."""
    return load_manifest()


def model_kinds() -> Mapping[str, str]:
    """Each kind of model, as it is written, with what it is."""
    return {text.split(" ")[0]: text.partition(" ")[2].strip("()") for text in KINDS.values()}


def list_models(home: Home) -> list[ListedModel]:
    """The language models that are fetched by name."""
    return [
        ListedModel(
            name,
            entry.title,
            entry.parameters,
            entry.context,
            entry.file_size or weight_bytes(entry),
            entry.licence,
            is_pulled(name, home.models, home.own_models),
        )
        for name, entry in load_manifest().items()
    ]


def list_recognizers(home: Home) -> list[ListedModel]:
    """The recognisers of speech that are fetched by name."""
    return [
        ListedModel(
            name, one.title, one.parameters, WHISPER_CONTEXT, one.size, one.licence, _has(name, home), kind="speech"
        )
        for name, one in known_weights().items()
    ]


def _has(name: str, home: Home) -> bool:
    try:
        find_weights(name, home.models)
    except ModelNotAvailableError:
        return False
    return True


def fetch_model(name: str, home: Home, say: Callable[[str], None], progress: Progress | None = None) -> Path:
    """Fetches a model and makes it ready; returns its folder.

    Raises:
        UsageError: there is no model of that name.
        ModelNotAvailableError: no source has it, or the conversion failed.
    """
    speech = weights_name(name)
    if speech is not None and name not in load_manifest():
        return pull_weights(speech, home.models, say, progress)
    return pull(name, home.models, say, progress, home.own_models)


def model_fits(name: str) -> ModelFits:
    """Whether a model fits this machine. Raises UsageError for what is neither a known name nor a model's folder."""
    entry = entry_of(name.removeprefix("hf:").removeprefix("vllm:").removeprefix("gguf:"))
    device, size = device_memory()
    return ModelFits(entry, device, size, plan_fits(entry, size))
