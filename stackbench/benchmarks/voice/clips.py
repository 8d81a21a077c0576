"""The spoken tasks: texts and recordings of audio_fixtures/, and recordings of a user's own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

import stackbench
from stackbench.errors import ConfigError, UsageError, one_line
from stackbench.types import Task
from stackbench.voice.audio_file import read_blocks
from stackbench.voice.conditions import Condition

__all__ = ["Clip", "SpokenTask", "clips_hash", "load_clips", "published_clips", "tasks_of"]

TEXTS = ("coding.yaml", "tools.yaml", "commands.yaml", "corrected.yaml")
ENDINGS = (".flac", ".wav", ".opus", ".ogg", ".mp3", ".aiff", ".aif")
Kind = Literal["coding", "tool", "command"]


class Clip(BaseModel):
    """What is said in a recording, and what is right."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[\w.-]+$")
    kind: Kind
    say: str
    typed: str = ""
    """What a user would type; unset: what is said, with symbols in place of the words for them."""
    entities: tuple[str, ...] = ()
    """Names, paths and numbers, as they must be spelled."""
    # of coding requests
    function: str = ""
    reference: str = ""
    tests: tuple[str, ...] = ()
    """Expressions that are true of a right function."""
    # of tool requests
    files: dict[str, str] = Field(default_factory=dict)
    command: str = ""
    """Does what is asked for."""
    checks: tuple[dict[str, Any], ...] = ()
    # of commands
    action: str = ""
    name: str = ""
    arguments: dict[str, Any] = Field(default_factory=dict)
    # of the recording
    path: Path = Path()
    voice: str = ""
    speech_begins_s: float | None = None
    speech_ends_s: float | None = None
    corrected: bool = False
    """Whether it has fillers, restarts or self-corrections."""

    @model_validator(mode="after")
    def _can_fail(self) -> Clip:
        """What nothing is asked of would pass whatever is answered."""
        needed = {"coding": ("function", "tests"), "tool": ("checks",), "command": ("action",)}[self.kind]
        lacking = [name for name in needed if not getattr(self, name)]
        if lacking:
            raise ValueError(f"an entry of kind {self.kind} needs {' and '.join(lacking)}")
        return self


class _About(BaseModel):
    """What clips.json tells of a recording."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    voice: str = ""
    speech_begins_s: float | None = Field(default=None, ge=0)
    speech_ends_s: float | None = Field(default=None, ge=0)


@dataclass(frozen=True, slots=True)
class SpokenTask(Task):
    """A recording under a condition."""

    clip: Clip | None = None
    condition: Condition = "clean"

    @property
    def spec(self) -> Clip:
        assert self.clip is not None
        return self.clip

    @property
    def strata(self) -> tuple[str, ...]:
        return (self.category, self.spec.kind)


def published_clips() -> Path:
    """The folder of the published recordings: beside the package in a checkout, in it when installed."""
    package = Path(stackbench.__file__).parent
    beside = package.parent / "audio_fixtures"
    return beside if beside.is_dir() else package / "audio_fixtures"


def load_clips(folder: Path) -> list[Clip]:
    """Every recording of a folder with its text: coding.yaml, tools.yaml, commands.yaml, corrected.yaml, clips/ID.flac.

    Raises:
        ConfigError: a text is malformed, its recording is not there, or there is none at all.
    """
    if not folder.is_dir():
        raise ConfigError(
            f"{folder}: {'no folder' if folder.exists() else 'no such folder'}; name one with {TEXTS[0]} and clips/"
        )
    recordings = _recordings(folder)
    found: list[Clip] = []
    for name in TEXTS:
        for number, row in enumerate(_rows(folder / name), 1):
            found.append(_clip(folder, name, number, row, recordings))
    if folder != published_clips():
        for clip in found:
            _check_recording(clip.path)
    if not found:
        raise ConfigError(f"{folder} holds no spoken tasks: it needs one of {', '.join(TEXTS)}")
    ids = [clip.id for clip in found]
    twice = sorted({one for one in ids if ids.count(one) > 1})
    if twice:
        raise ConfigError(f"{folder}: {', '.join(twice)} is there twice; ids are unique")
    return found


def tasks_of(clips: Sequence[Clip], conditions: Sequence[Condition]) -> Iterator[SpokenTask]:
    """Each recording under each condition."""
    for clip in clips:
        for condition in conditions:
            yield SpokenTask(f"{clip.id}@{condition}", condition, clip, condition)


def clips_hash(clips: Sequence[Clip]) -> str:
    """sha256 over texts and recordings."""
    made = hashlib.sha256()
    for clip in clips:
        made.update(clip.model_dump_json(exclude={"path"}).encode())
        made.update(clip.path.read_bytes())
    return made.hexdigest()


def _check_recording(path: Path) -> None:
    """Raises ConfigError for a file without sound, so that nobody waits for its attempt to hear of it."""
    try:
        next(iter(read_blocks(path)))
    except UsageError as error:
        raise ConfigError(str(error)) from error


def _clip(folder: Path, name: str, number: int, row: Any, recordings: Mapping[str, Any]) -> Clip:
    try:
        clip = Clip.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{folder / name}: entry {number}: {place}: {one_line(first['msg'])}") from error
    path = next((path for ending in ENDINGS if (path := folder / "clips" / f"{clip.id}{ending}").is_file()), None)
    if path is None:
        raise ConfigError(f"{folder / 'clips'} has no recording {clip.id}.flac (or .wav, .opus) for {name}")
    known = recordings.get(clip.id, {})
    try:
        about = _About.model_validate(known)
    except ValidationError as error:
        raise ConfigError(f"{folder / 'clips.json'}: {clip.id}: {one_line(error.errors()[0]['msg'])}") from error
    return clip.model_copy(
        update={
            "path": path,
            "voice": about.voice,
            "speech_begins_s": about.speech_begins_s,
            "speech_ends_s": about.speech_ends_s,
            "corrected": name == "corrected.yaml",
        }
    )


def _rows(path: Path) -> list[Any]:
    if not path.is_file():
        return []
    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is no YAML: {one_line(error)}") from error
    if not isinstance(rows, list):
        raise ConfigError(f"{path} is a list of entries, each with id, kind and say")
    return rows  # pyright: ignore[reportUnknownVariableType]


def _recordings(folder: Path) -> Mapping[str, Any]:
    path = folder / "clips.json"
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{path} is no JSON object: {one_line(error)}") from error
