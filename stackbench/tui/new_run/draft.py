"""A run as the form has it so far: from its texts to settings, a plan, and the command line that means the same."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stackbench.config import SettingField, Settings, list_settings, load_settings
from stackbench.errors import UsageError

if TYPE_CHECKING:
    from stackbench.engine import RunPlan

__all__ = ["Draft"]


@dataclass(frozen=True, slots=True)
class Draft:
    """`texts` holds what was entered, by attribute of the settings; empty where nothing was."""

    suite: str = ""
    benchmarks: tuple[str, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict[str, str])
    home: str = ""
    """Named on the command line where it is not the usual one."""

    def settings(self) -> Settings:
        """Raises ConfigError for a value that is not valid."""
        given: dict[str, Any] = {}
        for setting in list_settings():
            text = self.texts.get(setting.attribute, "").strip()
            if text:
                given[setting.attribute] = _value(setting, text)
        return load_settings(given).settings

    def plan(self) -> RunPlan:
        """Raises ConfigError, and UsageError where nothing is chosen or what is chosen does not go together."""
        from stackbench.engine import plan_benchmarks, plan_suite
        from stackbench.models import parse_model_name

        settings = self.settings()
        parse_model_name(settings.model)
        if self.suite:
            return plan_suite(self.suite, settings)
        if not self.benchmarks:
            raise UsageError("choose a suite, or one or more benchmarks")
        return plan_benchmarks(self.benchmarks, settings)

    def command_line(self) -> str:
        """The same run from a shell."""
        words = ["stackbench", "--batch", self.suite] if self.suite else ["stackbench", "eval", *self.benchmarks]
        for setting in list_settings():
            text = self.texts.get(setting.attribute, "").strip()
            if not text:
                continue
            if setting.type == "switch":
                words += [setting.flag]
            else:
                for value in _words(text) if setting.repeatable else [text]:
                    words += [setting.short or setting.flag, value]
        if self.home:
            words += ["--home", self.home]
        return " ".join(shlex.quote(word) for word in [*words, "--detach"])


def _value(setting: SettingField, text: str) -> Any:
    if setting.repeatable:
        return tuple(_words(text))
    return True if setting.type == "switch" else text


def _words(text: str) -> list[str]:
    """Several values: as a shell would part them; commas part too."""
    try:
        return shlex.split(text.replace(",", " ") if '"' not in text and "'" not in text else text)
    except ValueError:
        return text.split()
