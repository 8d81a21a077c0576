"""The model of a run, from its settings; a replay of an earlier run is read from the database here."""

from __future__ import annotations

from pathlib import Path

from stackbench.config import Home, Settings
from stackbench.engine.plan import RunPlan
from stackbench.engine.replays import replay_of_run, replayed_run
from stackbench.models import Model, ModelOptions, VllmOptions, create_model
from stackbench.models.null import NullModel
from stackbench.store import LocalQueries, Reader, Writer

__all__ = ["create_run_model", "model_options"]


def create_run_model(plan: RunPlan, home: Home, writer: Writer, logs: Path) -> Model:
    """The model that the plan names; `logs` is the run's folder. Raises UsageError for a name that means nothing."""
    settings = plan.settings
    if plan.samples_file is not None:
        model = NullModel()
        model.name = settings.model
        return model
    replayed = replayed_run(plan)
    if replayed is not None:
        return replay_of_run(settings.model, replayed, Reader(LocalQueries(writer.cursor())))
    return create_model(settings.model, model_options(settings, home.path, logs))


def model_options(settings: Settings, home: Path, logs: Path) -> ModelOptions:
    """What a run's settings say of its model; `logs` is the folder for the log of a server of ours."""
    return ModelOptions(
        home=home,
        logs=logs,
        api_key_env=settings.api_key_env,
        request_timeout_s=settings.request_timeout_s,
        retries=settings.retries,
        max_batch=settings.max_batch,
        api=settings.api,
        gpus=settings.gpus,
        n_per_request=settings.n_per_request,
        quantization=settings.quantization,
        dtype=settings.dtype,
        max_model_len=settings.max_model_len,
        vllm=VllmOptions(
            bin=settings.vllm_bin,
            image=settings.vllm_image,
            tensor_parallel_size=settings.tensor_parallel_size,
            gpu_memory_utilization=settings.gpu_memory_utilization,
            max_num_seqs=settings.max_num_seqs or settings.concurrency,
            chat_template=settings.chat_template,
            tool_call_parser=settings.tool_call_parser,
            args=settings.vllm_args,
            allow_quantized=settings.allow_quantized,
            load_timeout_s=settings.load_timeout_s,
            stall_timeout_s=settings.stall_timeout_s,
        ),
    )
