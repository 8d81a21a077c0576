"""All settings together, and the concerns that they belong to."""

from __future__ import annotations

from stackbench.config.model_settings import EndpointSettings, LoadingSettings, ServerSettings
from stackbench.config.run_settings import RunSettings, SamplingSettings
from stackbench.config.sandbox_settings import AgentSettings, SandboxSettings
from stackbench.config.setting import Concern

__all__ = ["CONCERNS", "Settings"]


class Settings(
    AgentSettings, SandboxSettings, EndpointSettings, ServerSettings, LoadingSettings, SamplingSettings, RunSettings
):
    """Everything a run can be told. A function that needs one concern takes that concern's model."""


CONCERNS: dict[str, type[Concern]] = {
    "run": RunSettings,
    "sampling": SamplingSettings,
    "model": LoadingSettings,
    "sandbox": SandboxSettings,
    "agent": AgentSettings,
    "endpoint": EndpointSettings,
    "server": ServerSettings,
}
"""By name, in the order in which they are shown."""
