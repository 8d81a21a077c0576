"""Begins a chat with an agent: a run of its own in the home's engine."""

from __future__ import annotations

import asyncio

from stackbench.config import Home
from stackbench.tui.engine_link import Submission
from stackbench.tui.new_run.choices import find_servers, models_here

__all__ = ["chat_models", "chat_submission"]


async def chat_models(home: Home) -> list[tuple[str, str]]:
    """Models to talk with, and what is known of each; the one for a person who names none comes first."""
    servers, first, known = await asyncio.gather(
        find_servers(), asyncio.to_thread(_interactive), asyncio.to_thread(models_here, home)
    )
    found = [(first, "the embedded model, as it answers one person fastest here")]
    found += [(name, "answers on this machine") for name in servers]
    return found + [(name, about) for name, about in known if name not in (first, "oracle", "null")]


def _interactive() -> str:
    from stackbench.models.interactive import interactive_model

    return interactive_model()


async def chat_submission(model: str) -> Submission:
    """A chat with this model and the settings in force. Raises ConfigError and UsageError."""
    return await asyncio.to_thread(_chat_submission, model)


def _chat_submission(model: str) -> Submission:
    from stackbench.config import load_settings
    from stackbench.engine import new_run_id, plan_benchmarks
    from stackbench.models import parse_model_name

    parse_model_name(model)
    settings = load_settings().settings.model_copy(update={"model": model, "samples": 1, "limit": None, "sandboxes": 1})
    plan = plan_benchmarks(["chat"], settings).model_copy(update={"suite": "chat"})
    return Submission(new_run_id(), plan.model_dump(mode="json"))
