"""The model of a run; a replay of an earlier run is read from the database here, since models know nothing of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stackbench.config import Home
from stackbench.engine.plan import RunPlan
from stackbench.models import Model, ModelOptions, create_model, parse_model_name
from stackbench.models.null import NullModel
from stackbench.models.replay import Recording, ReplayModel
from stackbench.store import LocalQueries, Reader, Writer
from stackbench.types import Generation

__all__ = ["create_run_model"]


def create_run_model(plan: RunPlan, home: Home, writer: Writer) -> Model:
    """The model that the plan names. Raises UsageError for a name that means nothing."""
    settings = plan.settings
    if plan.samples_file is not None:
        model = NullModel()
        model.name = settings.model
        return model
    parsed = parse_model_name(settings.model)
    if parsed.kind == "replay" and not Path(parsed.target).is_file():
        return _replay_of_run(settings.model, parsed.target, writer)
    options = ModelOptions(
        home=home.path,
        api_key_env=settings.api_key_env,
        request_timeout_s=settings.request_timeout_s,
        retries=settings.retries,
        max_batch=settings.max_batch,
        api=settings.api,
        gpus=settings.gpus,
        n_per_request=settings.n_per_request,
    )
    return create_model(settings.model, options)


def _replay_of_run(name: str, target: str, writer: Writer) -> ReplayModel:
    reader = Reader(LocalQueries(writer.cursor()))
    run = reader.run(target)

    def recordings() -> Iterator[Recording]:
        for key, completion, prompt_tokens, completion_tokens in reader.completions(run.run_id):
            yield key, Generation(completion, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)

    return ReplayModel(name, recordings(), f"run {run.run_id}")
