"""Builds request bodies in OpenAI's format, and reads generations from responses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stackbench.models.openai.answer import choices_of
from stackbench.models.openai.dialect import Dialect
from stackbench.models.openai.faults import AnswerError
from stackbench.models.openai.values import tokens_of
from stackbench.models.tool_calls import chat_for_template, tools_for_template
from stackbench.redaction import Redaction
from stackbench.types import FinishReason, Generation, Request, Sampling

__all__ = ["Manner", "cut_at_stop", "generations", "request_body", "sent"]

TEXTS = {"model", "messages", "prompt", "tools", "stream", "stream_options"}
"""What is not recorded of a body: what is asked, and how it is delivered."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How requests are worded beside what the dialect leaves out."""

    explicit: bool = False
    """Send every sampling parameter: a server of this kind has defaults of its own, from the checkpoint."""
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Fields that the operator adds; they take the place of those of the same name, and null leaves one out."""
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the server calls parameters that it has other names for."""


def request_body(
    model: str, request: Request, n: int, dialect: Dialect, manner: Manner, max_tokens: int | None = None
) -> dict[str, Any]:
    """The body for `chat/completions`, or for `completions` where the request has a bare prompt.

    `max_tokens` takes the place of the request's limit where its window leaves fewer.
    """
    sampling = request.sampling
    chat = request.prompt is None
    limit = sampling.max_tokens if max_tokens is None else min(max_tokens, sampling.max_tokens)
    if dialect.most_tokens is not None:
        limit = min(limit, dialect.most_tokens)
    body: dict[str, Any] = {"model": model, dialect.limit: limit}
    refused = dialect.refused
    for name, value in _drawing(sampling, explicit=manner.explicit):
        if not refused or not dialect.leaves_out(name, value):
            body[manner.names.get(name, name)] = value
    if chat:
        body["messages"] = chat_for_template(request.messages, parsed=False)
        tools = tools_for_template(request.tools)
        if tools:
            body["tools"] = tools
        if request.prefill:
            body["messages"].append({"role": "assistant", "content": request.prefill})
            if manner.explicit:
                body |= {"continue_final_message": True, "add_generation_prompt": False}
    else:
        body["prompt"] = request.prompt
    if sampling.stop and dialect.stops != 0:
        body["stop"] = list(sampling.stop[: dialect.stops])
    if sampling.ignore_eos:
        body["ignore_eos"] = True
    if n > 1:
        body["n"] = n
    if request.choices and dialect.logprobs and not dialect.leaves_out("logprobs", True):
        body[dialect.limit] = 1
        body["logprobs"] = True if chat else dialect.logprobs
        if chat:
            body["top_logprobs"] = dialect.logprobs
    if request.stream:
        body["stream"] = True
        if not dialect.leaves_out("stream_options", None):
            body["stream_options"] = {"include_usage": True}
    if manner.extra:
        body = {name: value for name, value in (body | dict(manner.extra)).items() if value is not None}
    return body


def sent(body: Mapping[str, Any]) -> dict[str, Any]:
    """The sampling parameters of a body, without its texts."""
    return {name: value for name, value in body.items() if name not in TEXTS}


def generations(
    answer: Mapping[str, Any], request: Request, body: Mapping[str, Any], n: int, latency_s: float, redaction: Redaction
) -> list[Generation]:
    """The generations of a completion, n at most.

    Tokens are told for all answers of a request together: each has its share, so that their sum is what was counted.

    Raises:
        AnswerError: it is no completion.
    """
    try:
        choices = choices_of(answer, request.choices, chat=request.prompt is None)[:n]
    except ValueError as error:
        raise AnswerError(redaction.message(str(error))) from error
    prompt_tokens, completion_tokens = tokens_of(answer.get("usage"))
    shown = sent(body)
    found: list[Generation] = []
    stops = request.sampling.stop
    for number, choice in enumerate(choices):
        text = without_prefill(choice.text, body) if request.prefill else choice.text
        text, cut = cut_at_stop(text, stops) if stops else (text, False)
        found.append(
            Generation(
                text=text,
                finish_reason=FinishReason.STOP if cut else choice.finish,
                tool_calls=choice.calls,
                prompt_tokens=_share(prompt_tokens, number, len(choices)),
                completion_tokens=_share(completion_tokens, number, len(choices)),
                latency_s=latency_s,
                choice_logprobs=choice.logprobs,
                thought=choice.thought,
                sent={**shown, "choice": number} if "n" in body else shown,
            )
        )
    return found


def cut_at_stop(text: str, stops: tuple[str, ...]) -> tuple[str, bool]:
    """The text before the first of the stop strings, for servers that leave it in, and whether there was one."""
    at = min((found for stop in stops if stop and (found := text.find(stop)) >= 0), default=-1)
    return (text[:at], True) if at >= 0 else (text, False)


def without_prefill(text: str, body: Mapping[str, Any]) -> str:
    """The text without the beginning of the answer that was sent, which some servers repeat.

    One that continues the message, as it was told to, does not: there a text that begins alike says it once more.
    """
    messages = body.get("messages")
    if not messages or messages[-1]["role"] != "assistant" or "continue_final_message" in body:
        return text
    return text.removeprefix(messages[-1]["content"])


def _drawing(sampling: Sampling, *, explicit: bool) -> list[tuple[str, Any]]:
    """Parameters of drawing tokens, by their names in the API: the temperature, and what is not as by default."""
    found: list[tuple[str, Any]] = [("temperature", sampling.temperature)]
    if explicit or sampling.top_p != 1.0:
        found.append(("top_p", sampling.top_p))
    if explicit or sampling.top_k:
        found.append(("top_k", sampling.top_k or -1))
    if explicit or sampling.min_p:
        found.append(("min_p", sampling.min_p))
    if explicit or sampling.presence_penalty:
        found.append(("presence_penalty", sampling.presence_penalty))
    if explicit or sampling.frequency_penalty:
        found.append(("frequency_penalty", sampling.frequency_penalty))
    if explicit or sampling.repetition_penalty != 1.0:
        found.append(("repetition_penalty", sampling.repetition_penalty))
    if sampling.seed is not None:
        found.append(("seed", sampling.seed))
    return found


def _share(total: int | None, number: int, of: int) -> int:
    """What falls to one of several, the rest to the first."""
    if total is None:
        return 0
    share, rest = divmod(total, of)
    return share + (number < rest)
