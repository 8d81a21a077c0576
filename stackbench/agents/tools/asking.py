"""`ask_user`: questions to the operator, whom a scenario plays."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import ClassVar

from pydantic import Field

from stackbench.agents.tools.base import Parameters, ToolOutcome, ToolRefusedError, Workspace

__all__ = ["AskUser", "User"]

MOST_QUESTIONS = 3
User = Callable[[str], str]
"""Answers a question, given with its options."""


class Option(Parameters):
    label: str
    description: str = ""


class Question(Parameters):
    id: str = Field(description="Names the question in the answer.")
    header: str = Field(default="", description="A few words above the question.")
    question: str
    options: list[Option] = Field(default=[], description="Answers to choose from; another answer may be given.")
    multi_select: bool = Field(default=False, alias="multiSelect", description="Several options may be chosen.")

    @property
    def text(self) -> str:
        """All that the user reads."""
        shown = [f"{one.label} {one.description}".strip() for one in self.options]
        return "\n".join(part for part in (self.header, self.question, *shown) if part)


class AskUserParameters(Parameters):
    questions: list[Question] = Field(min_length=1, max_length=MOST_QUESTIONS)
    timeout_seconds: float | None = Field(default=None, gt=0, alias="timeoutSeconds", description="Give up after it.")


class AskUser:
    """Implements `Tool`."""

    name: ClassVar[str] = "ask_user"
    description: ClassVar[str] = (
        "Ask the user up to three questions, where the task cannot be done rightly without an answer."
    )
    parameters: ClassVar[type[Parameters]] = AskUserParameters
    read_only: ClassVar[bool] = True

    async def call(self, asked: AskUserParameters, workspace: Workspace) -> ToolOutcome:
        names = [one.id for one in asked.questions]
        if len(names) != len(set(names)):
            raise ToolRefusedError("two questions have the same id")
        answers = {one.id: workspace.user(one.text) for one in asked.questions}
        return ToolOutcome(json.dumps({"answers": answers}, ensure_ascii=False), details={"questions": len(answers)})
