"""Begins a chat with an agent: a run of its own in the home's engine."""

from __future__ import annotations

import asyncio

from stackbench.config import Home
from stackbench.tui.engine_link import Submission
from stackbench.tui.new_run.choices import find_servers, models_here
from stackbench.types import ApprovalPolicy

__all__ = ["chat_models", "chat_submission", "default_chat_model"]

NO_TALKERS = ("oracle", "null")


async def chat_models(home: Home) -> list[tuple[str, str]]:
    """Models to talk with, and what is known of each; the one for a person who names none comes first. One without a
    name stands for any other.

    Raises ConfigError for files of settings that cannot be read.
    """
    servers, first, known = await asyncio.gather(
        find_servers(), asyncio.to_thread(_first), asyncio.to_thread(models_here, home)
    )
    here = [(name, "answers on this machine") for name in servers]
    found = [*first, *here, ("", "another one, by its name"), *known]
    return [one for number, one in enumerate(found) if one[0] not in (*NO_TALKERS, *(n for n, _ in found[:number]))]


def default_chat_model() -> str:
    """The model for a person who names none. Asks about hardware: call it off the event loop. Raises ConfigError."""
    return _first()[0][0]


def _first() -> list[tuple[str, str]]:
    """The model that the configuration names, and the embedded one."""
    from stackbench.config import DEFAULT_MODEL, load_settings
    from stackbench.models.interactive import interactive_model

    configured = load_settings().settings.model
    embedded = (interactive_model(), "the embedded model, in the form that answers one person fastest here")
    return [embedded] if configured == DEFAULT_MODEL else [(configured, "as configured"), embedded]


async def chat_submission(model: str, *, approve_calls: ApprovalPolicy | None = None) -> Submission:
    """A chat with this model and the settings in force; `approve_calls` in place of theirs.

    Raises ConfigError and UsageError.
    """
    return await asyncio.to_thread(_chat_submission, model, approve_calls)


def _chat_submission(model: str, approve_calls: ApprovalPolicy | None) -> Submission:
    from stackbench.config import load_settings
    from stackbench.engine import new_run_id, plan_benchmarks
    from stackbench.models import parse_model_name

    parse_model_name(model)
    settings = load_settings().settings.model_copy(update={"model": model, "samples": 1, "limit": None, "sandboxes": 1})
    if approve_calls is not None:
        settings = settings.model_copy(update={"approve_calls": approve_calls})
    plan = plan_benchmarks(["chat"], settings).model_copy(update={"suite": "chat"})
    return Submission(new_run_id(), plan.model_dump(mode="json"))
