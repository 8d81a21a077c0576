"""Settings of a run and of sampling, each declared once with its option, help and unit."""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from stackbench.config.setting import Concern, Setting
from stackbench.durations import read_duration

__all__ = ["DEFAULT_MODEL", "Limit", "MaxTokens", "Price", "RunSettings", "Samples", "SamplingSettings", "Temperature"]

DEFAULT_MODEL = "hf:qwen2.5-coder-0.5b-instruct"

Limit = Annotated[
    int | None,
    Field(ge=1),
    Setting("Only N tasks of each benchmark, spread over its categories.", "N", unset="all", basic=True),
]
Samples = Annotated[int, Field(ge=1), Setting("Attempts per task and seed.", "N", short="-n", basic=True)]
MaxTokens = Annotated[
    int | None,
    Field(ge=1),
    Setting("Tokens per answer at most.", "N", unset="the benchmark's own", unit="tokens", basic=True),
]
Temperature = Annotated[
    float | None,
    Field(ge=0),
    Setting("0 is greedy.", "T", unset="0; 0.8 for several attempts", basic=True),
]


class Price(BaseModel):
    """What an endpoint charges for a million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: float = Field(ge=0, allow_inf_nan=False)
    """Of prompts."""
    output: float = Field(ge=0, allow_inf_nan=False)
    """Of answers."""
    currency: str = Field(default="USD", min_length=1, max_length=8)


class RunSettings(Concern):
    """What a run does, and how long."""

    title: ClassVar[str] = "Run"

    model: Annotated[
        str,
        Setting(
            "`hf:NAME`, `vllm:NAME`, `gguf:NAME`, `openai:MODEL@URL`, `replay:RUN`, `oracle` or `null`.",
            "MODEL",
            unset="the embedded model",
            short="-m",
            basic=True,
        ),
    ] = DEFAULT_MODEL
    limit: Limit = None
    limit_seed: Annotated[int, Setting("Which tasks `--limit` selects.", "SEED")] = 0
    samples: Samples = 1
    seeds: Annotated[
        tuple[int, ...],
        Field(min_length=1),
        Setting("Each is a replicate of every attempt.", "SEED", flag="--seed", basic=True),
    ] = (0,)
    reruns: Annotated[
        int,
        Field(ge=0, le=10),
        Setting("Times to repeat replicates (`--seed`) that lie more than 2 points apart.", "N"),
    ] = 0
    concurrency: Annotated[
        int | None,
        Field(ge=1),
        Setting(
            "Attempts under way at once.",
            "N",
            unset="what keeps the model busy",
            basic=True,
            changeable=True,
            scores=True,
        ),
    ] = None
    one_by_one: Annotated[
        bool, Setting("Benchmarks one after the other, in place of side by side on one model.", changeable=True)
    ] = False
    timeout_s: Annotated[
        float | None,
        Field(gt=0),
        Setting(
            "Per code sample, or per attempt of an agent.",
            "SECONDS",
            flag="--timeout",
            unset="the benchmark's own",
            unit="seconds",
            basic=True,
            scores=True,
        ),
    ] = None
    max_hours: Annotated[
        float | None,
        Field(gt=0),
        Setting(
            "Stop after so long; the run can be resumed.",
            "H",
            unset="no limit",
            unit="hours",
            basic=True,
            changeable=True,
            scores=True,
        ),
    ] = None
    give_up_after_s: Annotated[
        float,
        BeforeValidator(read_duration),
        Field(gt=0),
        Setting(
            "Stop when endpoint or Docker stay away so long; the run can be resumed. Takes 30m or 2h too.",
            "TIME",
            flag="--give-up-after",
            unit="seconds",
            changeable=True,
            scores=True,
            duration=True,
        ),
    ] = 1800.0
    stalled_after_s: Annotated[
        float,
        BeforeValidator(read_duration),
        Field(gt=0),
        Setting(
            "Say what the run waits for when no attempt ended and no token came for so long. Takes 30m or 2h too.",
            "TIME",
            flag="--stalled-after",
            unit="seconds",
            changeable=True,
            scores=True,
            duration=True,
        ),
    ] = 900.0
    metrics_port: Annotated[
        int | None,
        Field(ge=1, le=65535),
        Setting(
            "Serve `/metrics` for Prometheus on this port of the loopback address while the run is live.",
            "PORT",
            unset="no",
            changeable=True,
            scores=True,
        ),
    ] = None
    max_error_rate: Annotated[
        float,
        Field(ge=0, le=1),
        Setting(
            "A larger share of attempts in error fails the run (exit code 3).", "SHARE", changeable=True, scores=True
        ),
    ] = 0.05
    baseline: Annotated[
        str,
        Setting(
            "The run, or the model with published results, that gates of a suite call `baseline`.",
            "RUN",
            unset="what the suite says",
            changeable=True,
        ),
    ] = ""
    executor: Annotated[
        Literal["local", "ray"],
        Setting(
            "Where attempts are made: in this process, or on the nodes of a Ray cluster.",
            "local|ray",
            changeable=True,
            scores=True,
        ),
    ] = "local"
    address: Annotated[
        str | None,
        Setting(
            "The head of the Ray cluster.",
            "HOST:PORT",
            unset="the cluster that this machine belongs to",
            changeable=True,
            scores=True,
        ),
    ] = None
    prices: Annotated[
        dict[str, Price],
        Setting(
            "Prices by model pattern, per million tokens of input and output: what a run cost is told where one fits.",
            "JSON",
            unset="none",
            changeable=True,
        ),
    ] = Field(default_factory=dict[str, Price])

    @field_validator("prices", mode="before")
    @classmethod
    def _read_prices(cls, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) else value

    @field_validator("seeds")
    @classmethod
    def _check_seeds(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        twice = next((seed for number, seed in enumerate(value) if seed in value[:number]), None)
        if twice is not None:
            raise ValueError(f"{twice} is named twice, and would give copies of the same attempts; name it once")
        return value


class SamplingSettings(Concern):
    """How a model is asked."""

    title: ClassVar[str] = "Sampling"

    temperature: Temperature = None
    max_tokens: MaxTokens = None
    think_tokens: Annotated[
        int,
        Field(ge=0, le=1 << 20),
        Setting("Tokens of an answer for reasoning, beside those that it has anyway.", "N", unit="tokens", asked=True),
    ] = 0
    top_p: Annotated[
        float,
        Field(gt=0, le=1),
        Setting("Draw from the likeliest tokens that together have this probability.", "P", basic=True),
    ] = 1.0
    top_k: Annotated[
        int,
        Field(ge=0, le=2**31 - 1),
        Setting("Draw from the K likeliest tokens; 0: from all.", "K", asked=True),
    ] = 0
    min_p: Annotated[
        float,
        Field(ge=0, le=1),
        Setting("Leave out tokens under P times the likeliest token's probability.", "P", asked=True),
    ] = 0.0
    presence_penalty: Annotated[
        float, Field(ge=-2, le=2), Setting("Taken off the logit of each token in the answer.", "X", asked=True)
    ] = 0.0
    frequency_penalty: Annotated[
        float,
        Field(ge=-2, le=2),
        Setting("Taken off a token's logit for each time the answer holds it.", "X", asked=True),
    ] = 0.0
    repetition_penalty: Annotated[
        float,
        Field(gt=0, le=10),
        Setting(
            "Divides positive logits of tokens in prompt and answer, multiplies negative ones; 1: none.",
            "X",
            asked=True,
        ),
    ] = 1.0
    stop: Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...],
        Setting("Ends an answer, beside the benchmark's own stop texts.", "TEXT", asked=True),
    ] = ()
    system_prompt: Annotated[
        str | None,
        Field(min_length=1),
        Setting("Stands before every chat.", "TEXT|@FILE", unset="none", asked=True, from_file=True),
    ] = None
    prefill: Annotated[
        str,
        Setting(
            "How every answer begins; the model goes on from there.",
            "TEXT|@FILE",
            unset="nothing",
            asked=True,
            from_file=True,
        ),
    ] = ""
