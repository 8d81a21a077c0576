"""What one attempt at each benchmark asks of a machine, by a table."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["Profile", "Share", "find_profile"]

Share = Literal["together", "alone", "exclusive"]


class Profile(BaseModel):
    """One benchmark's row of `profiles.toml`, which says what the fields mean."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    priority: int = 50
    tasks: int = 100
    attempts_each: int = 1
    share: Share = "together"
    agent: bool = False
    turns: int = 1
    prompt_tokens: int = 500
    completion_tokens: int = 300
    context_tokens: int = 4096
    code_s: float = 0.0
    sandbox_mib: int = 0
    image_gib: float = 0.0


@cache
def _table() -> dict[str, Profile]:
    text = resources.files("stackbench.engine.planner").joinpath("profiles.toml").read_text(encoding="utf-8")
    return {name: Profile.model_validate(row) for name, row in tomllib.loads(text).items()}


def find_profile(benchmark: str) -> Profile:
    """The row of a benchmark; of one that has none, middling figures and the last priority."""
    return _table().get(benchmark, Profile())
