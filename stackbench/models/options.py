"""How a model is reached, loaded and served: the settings that concern models, and where their files are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from stackbench.config import EndpointSettings, LoadingSettings, ServerSettings

__all__ = ["ModelOptions"]


class ModelOptions(LoadingSettings, ServerSettings, EndpointSettings):
    """What a model is created with; what does not concern a kind of model is ignored by it."""

    home: Path = Path()
    """The home's folder; models that it holds are used from there."""
    cache: Path | None = None
    """The folder that models are fetched to, below `models`; unset: the home."""
    logs: Path | None = None
    """The folder for logs of what is started; unset: `home`."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """Where a vLLM server of ours listens, on this machine only; unset: a port that is free."""
    explicit_sampling: bool = False
    """Send every sampling parameter: the server's own defaults are the checkpoint's."""
    parameter_names: Mapping[str, str] = Field(default_factory=dict[str, str])
    """What a server calls sampling parameters that it has other names for than OpenAI's and vLLM's."""

    @property
    def models(self) -> Path:
        """Where models are fetched to."""
        return (self.cache or self.home) / "models"
