"""The settings as a list, for whoever offers them: the command line, `config`, a form, the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin

from stackbench.config.concerns import CONCERNS, Settings
from stackbench.config.setting import Setting

__all__ = ["SettingField", "changeable_on_resume", "list_settings", "setting_field", "setting_named"]

Kind = Literal["integer", "number", "text", "switch", "object", "duration"]
KINDS: dict[Any, Kind] = {int: "integer", float: "number", str: "text", bool: "switch"}


@dataclass(frozen=True, slots=True)
class SettingField:
    """One setting."""

    name: str
    """As on the command line without the dashes, with underscores, and in files."""
    attribute: str
    """Of `Settings`, and in the recorded configuration of a run."""
    concern: str
    flag: str
    short: str
    help: str
    unset: str
    """What applies where nothing is set."""
    metavar: str
    unit: str
    type: Kind
    repeatable: bool
    """Whether it takes several values."""
    default: Any
    choices: tuple[str, ...]
    changeable_on_resume: bool
    group: Literal["basic", "advanced"]
    asked: bool
    scores: bool
    from_file: bool

    @property
    def shown_default(self) -> str:
        """What applies where nothing is set, with the unit of a number."""
        plain_number = self.unit and self.unset.replace(".", "").isdigit()
        return f"{self.unset} {self.unit}" if plain_number else self.unset


@cache
def list_settings() -> tuple[SettingField, ...]:
    """Every setting, those of a concern together, the basic ones first."""
    found: list[SettingField] = []
    for concern, model in CONCERNS.items():
        fields = [_describe(concern, name) for name in model.model_fields]
        found += sorted(fields, key=lambda field: field.group != "basic")
    return tuple(found)


def changeable_on_resume() -> frozenset[str]:
    """Attributes of settings that say how fast a run goes, not what it measures: they may differ between its parts."""
    return frozenset(field.attribute for field in list_settings() if field.changeable_on_resume)


def setting_field(attribute: str) -> SettingField:
    """The setting that an attribute of `Settings` is. Raises KeyError."""
    return _by_attribute()[attribute]


def setting_named(key: str) -> SettingField | None:
    """The setting of a key in a file: its option's name or its attribute's, with hyphens or underscores."""
    plain = key.replace("-", "_")
    return next((field for field in list_settings() if plain in (field.name, field.attribute)), None)


@cache
def _by_attribute() -> dict[str, SettingField]:
    return {field.attribute: field for field in list_settings()}


def _describe(concern: str, attribute: str) -> SettingField:
    info = Settings.model_fields[attribute]
    setting = next(item for item in info.metadata if isinstance(item, Setting))
    inner = _without_none(info.annotation)
    repeatable = get_origin(inner) is tuple
    if repeatable:
        inner = _without_none(get_args(inner)[0])
    choices: Sequence[Any] = get_args(inner) if get_origin(inner) is Literal else ()
    flag = setting.flag or f"--{attribute.replace('_', '-')}"
    default = info.get_default(call_default_factory=True)
    return SettingField(
        name=flag.removeprefix("--").replace("-", "_"),
        attribute=attribute,
        concern=concern,
        flag=flag,
        short=setting.short,
        help=setting.help,
        unset=setting.unset or _shown(default),
        metavar=setting.metavar,
        unit=setting.unit,
        type="duration" if setting.duration else "text" if choices else KINDS.get(inner, "object"),
        repeatable=repeatable,
        default=default,
        choices=tuple(str(choice) for choice in choices),
        changeable_on_resume=setting.changeable,
        group="basic" if setting.basic else "advanced",
        asked=setting.asked,
        scores=setting.scores,
        from_file=setting.from_file,
    )


def _without_none(annotation: Any) -> Any:
    """The type behind `Annotated` and `| None`."""
    while hasattr(annotation, "__metadata__"):
        annotation = annotation.__origin__
    if get_origin(annotation) in (Union, UnionType):
        return _without_none(next(part for part in get_args(annotation) if part is not NoneType))
    return annotation


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return ""
    if isinstance(default, tuple):
        return ", ".join(map(str, cast("tuple[object, ...]", default)))
    return f"{default:g}" if isinstance(default, float) else str(default)
