"""Makes the decoder's rows of requests: the chat template's text or the bare prompt, as tokens. Imports torch."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from stackbench.errors import GenerationError, ModelNotAvailableError
from stackbench.models.chat_template import ChatTemplate, read_template
from stackbench.models.length_buckets import Row
from stackbench.models.sampling import parameters
from stackbench.models.tool_calls import take_calls
from stackbench.thoughts import opens_thought, without_thoughts
from stackbench.types import FinishReason, Generation, Request

__all__ = ["PromptReader", "template_of", "with_calls"]

Done = Callable[[Generation | GenerationError], None]


class PromptReader:
    """Reads the requests of one model."""

    def __init__(self, tokenizer: Any, template: ChatTemplate | None, window: int) -> None:
        self.template = template
        self._tokenizer = tokenizer
        self._reading = threading.Lock()
        """Tokenizer and template serve one thread at a time: the decoder's, or one that counts."""
        self.window = window

    def row(self, request: Request, done: Done) -> Row:
        """A row for the decoder, which calls `done` with its result.

        Raises:
            GenerationError: the chat template refuses the chat, or the prompt is empty or does not fit.
        """
        with self._reading:
            ids, opened = self._ids(request)
        if len(ids) >= self.window:
            raise GenerationError(f"the prompt has {len(ids)} tokens, the model's window holds {self.window}")
        if not ids:
            raise GenerationError("the prompt is empty")
        most = min(request.sampling.max_tokens, self.window - len(ids))
        seed = request.sampling.seed or 0  # as the decoder draws
        sent = parameters(replace(request.sampling, max_tokens=most, seed=seed))

        def tell(outcome: Generation | GenerationError) -> None:
            if isinstance(outcome, Generation):
                try:
                    outcome = replace(_read(outcome, request, opened), sent=sent)
                except Exception as error:  # one answer's text must not end the rows beside it
                    outcome = GenerationError(f"the answer's calls cannot be read: {error!r}")
            done(outcome)

        return Row(
            request=request,
            prompt_ids=ids,
            max_tokens=most,
            choice_ids=[self._choice_id(choice) for choice in request.choices],
            done=tell,
        )

    def count(self, request: Request) -> int:
        """Tokens of a request's prompt. Raises GenerationError where the chat template refuses the chat."""
        with self._reading:
            return len(self._ids(request)[0])

    def _ids(self, request: Request) -> tuple[list[int], bool]:
        """The prompt's tokens, and whether a thought begins where it ends."""
        if request.prompt is not None:
            return self._tokenizer.encode(request.prompt), False
        if self.template is None:
            raise GenerationError("the model has no chat template, so it takes no chats")
        text = self.template.render(request.messages, request.tools, request.prefill)
        opened = opens_thought(text) and not opens_thought(request.prefill)  # which becomes the answer's beginning
        return self._tokenizer.encode(text, add_special_tokens=False), opened

    def _choice_id(self, choice: str) -> int:
        ids = self._tokenizer.encode(choice, add_special_tokens=False)
        if len(ids) != 1:
            raise GenerationError(f'the choice "{choice}" is {len(ids)} tokens for this model, not one')
        return ids[0]


def template_of(tokenizer: Any, named: str | None) -> ChatTemplate | None:
    """The template that is named (a file, or Jinja itself), else the tokenizer's own; None where there is none.

    Raises:
        ModelNotAvailableError: the file cannot be read, or the tokenizer's templates have no default.
    """
    special: dict[str, str | list[Any] | tuple[Any, ...]] = tokenizer.special_tokens_map
    variables = {
        name: [str(one) for one in token] if isinstance(token, (list, tuple)) else str(token)
        for name, token in special.items()
    }
    if named is not None:
        return ChatTemplate(read_template(named), variables)
    own = getattr(tokenizer, "chat_template", None)
    if own is None:
        return None
    if isinstance(own, str):
        return ChatTemplate(own, variables)
    if "default" not in own:
        names = ", ".join(sorted(map(str, own)))
        raise ModelNotAvailableError(
            f"the model has chat templates ({names}) and no default; name one: --chat-template"
        )
    return ChatTemplate(own["default"], variables, own.get("tool_use", ""))


def _read(outcome: Generation, request: Request, opened: bool) -> Generation:
    """What was generated for a request: thoughts apart where calls are read or the chat template began one."""
    if (opened or request.tools) and not request.choices:
        outcome = without_thoughts(outcome, opened=opened)
    return with_calls(outcome) if request.tools else outcome


def with_calls(outcome: Generation) -> Generation:
    """A generation with the calls in its text as calls; its thoughts hold none."""
    outcome = without_thoughts(outcome)
    text, calls = take_calls(outcome.text)
    finish = FinishReason.TOOL_CALLS if calls and outcome.finish_reason is FinishReason.STOP else outcome.finish_reason
    return replace(outcome, text=text, tool_calls=calls, finish_reason=finish)
