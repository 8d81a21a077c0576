"""Configuration: the settings and where their values come from, and the folders of STACKBENCH_HOME."""

from stackbench.config.concerns import CONCERNS, Settings
from stackbench.config.home import Home, user_cache
from stackbench.config.model_settings import HIDDEN, EndpointSettings, LoadingSettings, ServerSettings
from stackbench.config.run_settings import DEFAULT_MODEL, Price, RunSettings, SamplingSettings
from stackbench.config.sandbox_settings import AgentSettings, SandboxSettings
from stackbench.config.setting_fields import SettingField, changeable_on_resume, list_settings, setting_field
from stackbench.config.sources import Sourced, given_values, load_settings

__all__ = [
    "CONCERNS",
    "DEFAULT_MODEL",
    "HIDDEN",
    "AgentSettings",
    "EndpointSettings",
    "Home",
    "LoadingSettings",
    "Price",
    "RunSettings",
    "SamplingSettings",
    "SandboxSettings",
    "ServerSettings",
    "SettingField",
    "Settings",
    "Sourced",
    "changeable_on_resume",
    "given_values",
    "list_settings",
    "load_settings",
    "setting_field",
    "user_cache",
]
