"""The model of a run, from its settings; a replay of an earlier run is read from the database here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stackbench.config import Home, LoadingSettings, RunSettings, Settings, user_cache
from stackbench.engine.plan import RunPlan
from stackbench.engine.replays import replay_of_run, replayed_run
from stackbench.errors import UsageError
from stackbench.models import Model, ModelOptions, create_model, parse_model_name
from stackbench.models.null import NullModel
from stackbench.store import LocalQueries, Reader, Writer
from stackbench.store.reader import RunInfo

__all__ = ["check_model_name", "check_same_model", "create_run_model", "model_options", "sampling_not_set"]


def create_run_model(plan: RunPlan, home: Home, writer: Writer | None, logs: Path) -> Model:
    """The model that the plan names; `logs` is the run's folder. Without a writer no run can be replayed.

    Raises UsageError for a name that means nothing.
    """
    settings = plan.settings
    if plan.samples_file is not None:
        model = NullModel()
        model.name = settings.model
        return model
    replayed = replayed_run(plan)
    if replayed is not None:
        if writer is None:
            raise UsageError("a recorded run is replayed where its database is; use --executor local")
        return replay_of_run(settings.model, replayed, Reader(LocalQueries(writer.cursor())))
    if parse_model_name(settings.model).kind == "openai":
        _check_endpoint(settings)
    elif parse_model_name(settings.model).kind == "gguf":
        _check_gguf(settings)
    if settings.chat_template is not None:
        from stackbench.models.chat_template import read_template

        read_template(settings.chat_template)  # before anything is fetched or loaded
    return create_model(settings.model, model_options(settings, home.path, logs))


def check_model_name(settings: RunSettings) -> None:
    """Raises UsageError for a model name that means nothing, before anything is started for it."""
    parse_model_name(settings.model)


def _check_endpoint(settings: LoadingSettings) -> None:
    """Raises UsageError for what an endpoint decides itself."""
    for flag, given in (
        ("--chat-template", settings.chat_template is not None),
        ("--generation-config", settings.generation_config != "vllm"),
    ):
        if given:
            raise UsageError(f"{flag} is for hf: and vllm: models; what serves an endpoint has its own, set it there")


def _check_gguf(settings: LoadingSettings) -> None:
    """Raises UsageError for what a GGUF file decides itself."""
    for flag, given in (
        ("--quantization", settings.quantization is not None),
        ("--dtype", settings.dtype is not None),
        ("--generation-config", settings.generation_config != "vllm"),
    ):
        if given:
            raise UsageError(f"{flag} is for hf: and vllm: models; a GGUF file is loaded as it is")


def model_options(settings: Settings, home: Path, logs: Path, port: int | None = None) -> ModelOptions:
    """What a run's settings say of its model; `logs` is the folder for the log of a server of ours."""
    shared = {name: getattr(settings, name) for name in ModelOptions.model_fields if name in Settings.model_fields}
    shared["max_num_seqs"] = settings.max_num_seqs or settings.concurrency
    places = {"home": home, "cache": user_cache(), "logs": logs, "port": port}
    return ModelOptions.model_validate({**shared, **places})


def sampling_not_set(generation_config: str | None, described: Mapping[str, Any]) -> str:
    """For those who read the scores: whose sampling applies where none is set; empty where it is neutral."""
    if generation_config != "checkpoint":
        return ""
    return str(described.get("sampling_not_set") or "as the checkpoint's generation_config.json has it")


def check_same_model(run: RunInfo, described: Mapping[str, Any]) -> None:
    """For a run that is resumed: the model's files must be those that its first part had.

    Raises:
        UsageError: they have other bytes; one model's answers would stand for another's.
    """
    before, now = dict(run.environment.get("model") or {}), dict(described)
    if not before.get("sha256") or not now.get("sha256") or before["sha256"] == now["sha256"]:
        return
    old, new = dict(before.get("files") or {}), dict(now.get("files") or {})
    names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    raise UsageError(
        f"run {run.run_id} was made with other files of {run.model} ({', '.join(names)}): its sha256 was "
        f"{before['sha256'][:12]}, it is {now['sha256'][:12]}; bring the files back, or start a new run"
    )
