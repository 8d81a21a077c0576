"""What is declared of a setting with its field, beside name, type and default; the base of the models of settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

__all__ = ["Concern", "Setting"]


class Concern(BaseModel):
    """Base of the models; unknown names are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    title: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """Stands in the annotation of a field; options, files, forms and the reference are made from it."""

    help: str
    """One sentence, with code in backticks."""
    metavar: str = ""
    """What stands for the value in help; none for a switch."""
    unset: str = ""
    """What applies where nothing is set, if the default does not say it."""
    flag: str = ""
    """The option; empty: `--` and the name."""
    short: str = ""
    """A second option, of one letter."""
    unit: str = ""
    """Of the value: seconds, hours, tokens, MiB."""
    basic: bool = False
    """Whether a first look at the settings should show it."""
    changeable: bool = False
    """Whether it may change when a run is resumed: it says how fast a run goes, not what it measures."""
    asked: bool = False
    """Whether it changes what a model is asked, beyond the usual sampling: shown with a run, except as by default."""
    scores: bool = False
    """Whether it applies where recorded samples are scored and no model is asked."""
    duration: bool = False
    """Whether it takes a time such as 30m or 2h; plain numbers are seconds."""
    from_file: bool = False
    """Whether `@FILE` stands for the text in that file."""
