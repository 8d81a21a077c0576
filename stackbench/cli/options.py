"""Options that several commands share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

__all__ = [
    "HomeOption",
    "JsonOption",
    "ReportFormat",
    "TableFormat",
    "run_settings",
    "with_loading_options",
    "with_run_options",
]

Command = TypeVar("Command", bound=Callable[..., Any])

HomeOption = Annotated[
    Path | None, typer.Option("--home", metavar="DIR", help="Folder of database, runs and models [STACKBENCH_HOME].")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]

TASKS, SAMPLING, MACHINE, LOADING, ENDPOINT, OUTPUT = (
    "Tasks",
    "Sampling",
    "Machine",
    "Loading and vLLM",
    "Endpoints",
    "Output",
)


class TableFormat(StrEnum):
    """How `query` renders rows."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


class ReportFormat(StrEnum):
    """How `show` renders a run."""

    TEXT = "text"
    MARKDOWN = "md"
    LATEX = "latex"


def _panel(panel: str, *names: str, help: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=help, metavar=metavar, rich_help_panel=panel, show_default=False)


def _run_options(
    model: Annotated[
        list[str] | None,
        _panel(
            SAMPLING,
            "-m",
            "--model",
            metavar="MODEL",
            help="hf:NAME, vllm:NAME, openai:MODEL@URL, replay:RUN, oracle, null [the embedded model]; repeatable.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        _panel(TASKS, "--limit", metavar="N", help="Only N tasks of each benchmark, spread over its categories."),
    ] = None,
    limit_seed: Annotated[
        int | None, _panel(TASKS, "--limit-seed", metavar="SEED", help="Which tasks --limit selects [0].")
    ] = None,
    sample_ids: Annotated[str | None, _panel(TASKS, "--sample-ids", metavar="A,B", help="Only these tasks.")] = None,
    benchmark_options: Annotated[
        list[str] | None,
        _panel(TASKS, "-T", "--option", metavar="NAME=VALUE", help="An option of the benchmark; repeatable."),
    ] = None,
    scenarios: Annotated[
        Path | None,
        _panel(TASKS, "--scenarios", metavar="DIR", help="Your own tool-use scenarios, in place of the published."),
    ] = None,
    samples: Annotated[
        int | None, _panel(SAMPLING, "-n", "--samples", metavar="N", help="Attempts per task [1].")
    ] = None,
    temperature: Annotated[
        float | None, _panel(SAMPLING, "--temperature", metavar="T", help="0 is greedy [0; 0.8 for several attempts].")
    ] = None,
    top_p: Annotated[float | None, _panel(SAMPLING, "--top-p", metavar="P", help="Nucleus sampling [1].")] = None,
    top_k: Annotated[
        int | None, _panel(SAMPLING, "--top-k", metavar="K", help="Draw from the K likeliest tokens [0: all].")
    ] = None,
    min_p: Annotated[
        float | None,
        _panel(SAMPLING, "--min-p", metavar="P", help="Not from those under P times the likeliest's probability [0]."),
    ] = None,
    presence_penalty: Annotated[
        float | None, _panel(SAMPLING, "--presence-penalty", metavar="X", help="Of tokens in the answer [0].")
    ] = None,
    frequency_penalty: Annotated[
        float | None,
        _panel(SAMPLING, "--frequency-penalty", metavar="X", help="Of tokens in the answer, each time [0]."),
    ] = None,
    repetition_penalty: Annotated[
        float | None,
        _panel(SAMPLING, "--repetition-penalty", metavar="X", help="Of tokens in prompt and answer [1: none]."),
    ] = None,
    system_prompt: Annotated[
        str | None,
        _panel(SAMPLING, "--system-prompt", metavar="TEXT|@FILE", help="Stands before every chat."),
    ] = None,
    prefill: Annotated[
        str | None,
        _panel(SAMPLING, "--prefill", metavar="TEXT|@FILE", help="How every answer begins; the model goes on."),
    ] = None,
    stop: Annotated[
        list[str] | None,
        _panel(SAMPLING, "--stop", metavar="TEXT", help="Ends an answer, beside the benchmark's own; repeatable."),
    ] = None,
    max_tokens: Annotated[
        int | None, _panel(SAMPLING, "--max-tokens", metavar="N", help="Tokens per answer [the benchmark's own].")
    ] = None,
    seeds: Annotated[
        list[int] | None,
        _panel(SAMPLING, "--seed", metavar="SEED", help="Repeatable: each is a replicate of every attempt [0]."),
    ] = None,
    tool_parser: Annotated[
        str | None,
        _panel(
            SAMPLING, "--tool-parser", metavar="HOW", help="auto: calls written as text count too; or strict [auto]."
        ),
    ] = None,
    concurrency: Annotated[
        int | None, _panel(MACHINE, "--concurrency", metavar="N", help="Attempts under way at once.")
    ] = None,
    sandboxes: Annotated[
        int | None, _panel(MACHINE, "--sandboxes", metavar="N", help="Sandbox containers [one per processor].")
    ] = None,
    timeout_s: Annotated[
        float | None,
        _panel(MACHINE, "--timeout", metavar="SECONDS", help="Per code sample or agent's attempt [the benchmark's]."),
    ] = None,
    max_hours: Annotated[
        float | None, _panel(MACHINE, "--max-hours", metavar="H", help="Stop, resumable, after H hours.")
    ] = None,
    one_by_one: Annotated[
        bool | None,
        _panel(MACHINE, "--one-by-one", help="Benchmarks one after the other, in place of side by side."),
    ] = None,
    approve_calls: Annotated[
        bool | None,
        _panel(
            MACHINE, "--approve-calls", help="Tool calls of agents wait for the operator: ctl approve, reject, edit."
        ),
    ] = None,
    max_error_rate: Annotated[
        float | None,
        _panel(
            MACHINE, "--max-error-rate", metavar="SHARE", help="More attempts in error than this fail the run [0.05]."
        ),
    ] = None,
    max_batch: Annotated[
        int | None, _panel(MACHINE, "--max-batch", metavar="N", help="Sequences an hf: model decodes together.")
    ] = None,
    sandbox_scope: Annotated[
        str | None,
        _panel(MACHINE, "--sandbox-scope", metavar="SCOPE", help="container, shared by samples, or sample: one each."),
    ] = None,
    sandbox_runtime: Annotated[
        str | None,
        _panel(MACHINE, "--sandbox-runtime", metavar="NAME", help="OCI runtime, such as runsc [the engine's default]."),
    ] = None,
    sandbox_image: Annotated[
        str | None, _panel(MACHINE, "--sandbox-image", metavar="IMAGE", help="Image of the sandboxes.")
    ] = None,
    gpus: Annotated[str | None, _panel(MACHINE, "--gpus", metavar="0,1", help="GPUs to use [all].")] = None,
    executor: Annotated[str | None, _panel(MACHINE, "--executor", metavar="local", help="Where the work runs.")] = None,
    quantization: Annotated[
        str | None,
        _panel(LOADING, "--quantization", metavar="HOW", help="awq, gptq, bitsandbytes, bitsandbytes-8bit or fp8."),
    ] = None,
    dtype: Annotated[
        str | None, _panel(LOADING, "--dtype", metavar="TYPE", help="bfloat16, float16 or float32 [the device's].")
    ] = None,
    max_model_len: Annotated[
        int | None, _panel(LOADING, "--max-model-len", metavar="N", help="Tokens of prompt and answer together.")
    ] = None,
    tensor_parallel_size: Annotated[
        int | None, _panel(LOADING, "--tensor-parallel-size", metavar="N", help="GPUs to spread a vllm: model over.")
    ] = None,
    gpu_memory_utilization: Annotated[
        float | None,
        _panel(LOADING, "--gpu-memory-utilization", metavar="SHARE", help="Of each GPU's memory, for vLLM [0.9]."),
    ] = None,
    max_num_seqs: Annotated[
        int | None,
        _panel(LOADING, "--max-num-seqs", metavar="N", help="Sequences vLLM decodes together [concurrency]."),
    ] = None,
    generation_config: Annotated[
        str | None,
        _panel(LOADING, "--generation-config", metavar="WHOSE", help="Sampling not set: vllm (neutral) or checkpoint."),
    ] = None,
    chat_template: Annotated[
        str | None, _panel(LOADING, "--chat-template", metavar="FILE", help="In place of the model's own; Jinja.")
    ] = None,
    tool_call_parser: Annotated[
        str | None, _panel(LOADING, "--tool-call-parser", metavar="NAME", help="vLLM's [that of the model's family].")
    ] = None,
    vllm_args: Annotated[
        list[str] | None,
        _panel(
            LOADING, "--vllm-arg", metavar="ARG", help="An argument for vllm serve (--vllm-arg=--flag); repeatable."
        ),
    ] = None,
    vllm_bin: Annotated[
        str | None, _panel(LOADING, "--vllm-bin", metavar="PATH", help="The vllm program [found].")
    ] = None,
    vllm_image: Annotated[
        str | None, _panel(LOADING, "--vllm-image", metavar="IMAGE", help="Container image to run vLLM from.")
    ] = None,
    allow_quantized: Annotated[
        str | None,
        _panel(LOADING, "--allow-quantized", metavar="HOW", help="What to fall back to where the model does not fit."),
    ] = None,
    load_timeout_s: Annotated[
        float | None, _panel(LOADING, "--load-timeout", metavar="SECONDS", help="For a vLLM server to start [1800].")
    ] = None,
    stall_timeout_s: Annotated[
        float | None,
        _panel(
            LOADING, "--stall-timeout", metavar="SECONDS", help="Without a token: the server is started again [300]."
        ),
    ] = None,
    api: Annotated[str | None, _panel(ENDPOINT, "--api", metavar="KIND", help="auto, chat or completions.")] = None,
    api_key_env: Annotated[
        str | None, _panel(ENDPOINT, "--api-key-env", metavar="NAME", help="Variable with the key [OPENAI_API_KEY].")
    ] = None,
    n_per_request: Annotated[
        int | None,
        _panel(ENDPOINT, "--n-per-request", metavar="N", help="Attempts at one prompt asked in one request."),
    ] = None,
    extra_body: Annotated[
        str | None,
        _panel(ENDPOINT, "--extra-body", metavar="JSON", help="Fields to add to each request; null leaves one out."),
    ] = None,
    headers: Annotated[
        list[str] | None,
        _panel(ENDPOINT, "--header", metavar="NAME:VALUE", help="A header to add; never recorded; repeatable."),
    ] = None,
    request_timeout_s: Annotated[
        float | None, _panel(ENDPOINT, "--request-timeout", metavar="SECONDS", help="Per request [600].")
    ] = None,
    retries: Annotated[
        int | None, _panel(ENDPOINT, "--retries", metavar="N", help="Tries of a request after the first [6].")
    ] = None,
    resume: Annotated[
        str | None, _panel(OUTPUT, "--resume", metavar="[RUN]", help="Finish an interrupted run [the latest].")
    ] = None,
    run_name: Annotated[
        str | None, _panel(OUTPUT, "--name", metavar="NAME", help="What to call the run; stands where its id does.")
    ] = None,
    run_tags: Annotated[
        list[str] | None, _panel(OUTPUT, "--tag", metavar="TAG", help="A tag of the run; repeatable.")
    ] = None,
    output: Annotated[
        Path | None, _panel(OUTPUT, "-o", "--output", metavar="DIR", help="Also write the run's exports there.")
    ] = None,
    as_json: Annotated[bool, _panel(OUTPUT, "--json", help="One JSON document on standard output.")] = False,
    detach: Annotated[
        bool, _panel(OUTPUT, "--detach", help="In a process of its own; prints its run, pid and socket as JSON.")
    ] = False,
    wait: Annotated[
        bool, _panel(OUTPUT, "--wait", help="With --detach: wait, and print the results as a second line.")
    ] = False,
    no_queue: Annotated[
        bool, _panel(OUTPUT, "--no-queue", help="Fail where another run is live, in place of waiting in its queue.")
    ] = False,
    quiet: Annotated[bool, _panel(OUTPUT, "-q", "--quiet", help="No progress.")] = False,
    home: Annotated[
        Path | None,
        _panel(OUTPUT, "--home", metavar="DIR", help="Folder of database, runs and models [STACKBENCH_HOME]."),
    ] = None,
) -> None:
    """The options of a run, as the parameters of a function that is only looked at."""


NOT_SETTINGS = {
    "sample_ids",
    "benchmark_options",
    "scenarios",
    "resume",
    "output",
    "as_json",
    "quiet",
    "home",
    "detach",
    "wait",
    "no_queue",
    "run_name",
    "run_tags",
}


def with_run_options(command: Command) -> Command:
    """Adds the options of a run to a command that takes them as `**flags`."""
    return _with_options(command, list(inspect.signature(_run_options, eval_str=True).parameters.values()))


def with_loading_options(command: Command) -> Command:
    """Adds those that say how a model is loaded and served."""
    every = inspect.signature(_run_options, eval_str=True).parameters
    return _with_options(command, [p for p in every.values() if _panel_of(p) == LOADING or p.name in ("gpus", "home")])


def _panel_of(parameter: inspect.Parameter) -> str | None:
    return parameter.annotation.__metadata__[0].rich_help_panel


def _with_options(command: Command, shared: list[inspect.Parameter]) -> Command:
    added = {p.name for p in shared}  # a second program in one process finds them there already
    every = inspect.signature(command, eval_str=True).parameters.values()
    own = [p for p in every if p.kind is not p.VAR_KEYWORD and p.name not in added]
    parameters = [p.replace(kind=p.KEYWORD_ONLY) for p in (*own, *shared)]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def run_settings(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Those flags that are settings and were given."""
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in flags.items()
        if name not in NOT_SETTINGS and value is not None and value != []
    }
