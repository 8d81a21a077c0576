"""Where settings come from: defaults, the user's file, the working folder's file, the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_config_path
from pydantic import ValidationError

from stackbench.bounded_files import read_bounded
from stackbench.config.concerns import Settings
from stackbench.config.setting_fields import list_settings, setting_field, setting_named
from stackbench.errors import ConfigError, one_line
from stackbench.suggestions import did_you_mean
from stackbench.wrong_values import fault_in_words

__all__ = ["Sourced", "given_values", "load_settings"]

LONGEST_TEXT = 1 << 20
PROJECT_FILE = "stackbench.toml"
LARGEST_FILE = 1 << 20
SHOWN_OF_VALUE = 200


@dataclass(frozen=True, slots=True)
class Sourced:
    """Settings, and for each where its value came from."""

    settings: Settings
    sources: Mapping[str, str]
    """By attribute: `default`, a file, or the option."""


def load_settings(given: Mapping[str, Any] | None = None) -> Sourced:
    """Defaults, overridden by the user's file, the working folder's file and the command line, in this order.

    `given` has values by the attributes of `Settings`; None is not given.

    Raises:
        ConfigError: a file is not TOML, or a key or value is not valid; names the file and the key.
    """
    values: dict[str, Any] = {}
    sources = dict.fromkeys(Settings.model_fields, "default")
    for path in (user_config_path("stackbench", appauthor=False) / "config.toml", Path(PROJECT_FILE)):
        if path.is_file():
            for attribute, value in _read(path).items():
                values[attribute], sources[attribute] = value, str(path)
    for attribute, value in (given or {}).items():
        if value is not None:
            values[attribute], sources[attribute] = value, setting_field(attribute).flag
    return Sourced(_validated(values, sources), sources)


def given_values(given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of options as the settings have them, without those of files. Raises ConfigError."""
    settings = _validated(given, {attribute: setting_field(attribute).flag for attribute in given})
    return {attribute: getattr(settings, attribute) for attribute in given}


def _validated(values: Mapping[str, Any], sources: Mapping[str, str]) -> Settings:
    try:
        return Settings.model_validate(_with_texts(values, sources))
    except ValidationError as error:
        first = error.errors()[0]
        attribute = str(first["loc"][0]) if first["loc"] else "?"
        named = _named(attribute, sources)
        said = fault_in_words(dict(first))
        if attribute == "api_key_env":  # somebody may have given the key itself
            raise ConfigError(f"{named}: takes the name of an environment variable, not a key") from None
        if attribute == "headers":
            raise ConfigError(f"{named}: {said}") from None
        shown = repr(first["input"])
        shown = shown if len(shown) <= SHOWN_OF_VALUE else f"{shown[:SHOWN_OF_VALUE]} ..."
        near = did_you_mean(str(first["input"]), setting_field(attribute).choices)
        raise ConfigError(f"{named}: {said} (got {shown}){near}") from error


def _with_texts(values: Mapping[str, Any], sources: Mapping[str, str]) -> dict[str, Any]:
    """The values, with those texts that are `@FILE` read from their files. Raises ConfigError."""
    found = dict(values)
    for field in list_settings():
        if field.from_file and field.attribute in found:
            found[field.attribute] = _text(found[field.attribute], _named(field.attribute, sources))
    return found


def _named(attribute: str, sources: Mapping[str, str]) -> str:
    """A setting as it was written: the option, or the file and the key."""
    where = sources.get(attribute, "configuration")
    return where if where.startswith("--") else f"{where}: {setting_field(attribute).name}"


def _text(value: Any, named: str) -> Any:
    """A text, read from a file where it is `@FILE`; a beginning `@@` stands for one `@`.

    Raises:
        ConfigError: there is no such file of text.
    """
    if not isinstance(value, str) or not value.startswith("@"):
        return value
    if value.startswith("@@"):
        return value[1:]
    try:
        with Path(value[1:]).expanduser().open(encoding="utf-8") as file:
            text = file.read(LONGEST_TEXT + 1)
    except (OSError, ValueError) as error:
        why = (isinstance(error, OSError) and error.strerror) or one_line(error)
        raise ConfigError(f"{named}: {value[1:]} cannot be read as text: {why}") from error
    if len(text) > LONGEST_TEXT:
        raise ConfigError(f"{named}: {value[1:]} has more than {LONGEST_TEXT:,} characters")
    return text


def _read(path: Path) -> dict[str, Any]:
    """A file's values by attribute; a setting that takes several values may be given one."""
    try:
        table = tomllib.loads(read_bounded(path, LARGEST_FILE))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid TOML: {one_line(error)}") from error
    found: dict[str, Any] = {}
    for key, value in table.items():
        field = setting_named(key)
        if field is None:
            near = did_you_mean(key.replace("-", "_"), [field.name for field in list_settings()])
            raise ConfigError(f'{path}: unknown key "{key}"{near}; "stackbench eval --help" lists them, as options')
        if field.attribute in found:
            raise ConfigError(f'{path}: "{key}" sets {field.name} a second time; leave one of the two out')
        found[field.attribute] = [value] if field.repeatable and not isinstance(value, list) else value
    return found
