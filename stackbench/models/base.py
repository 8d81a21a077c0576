"""The protocol that every kind of model implements."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from stackbench.types import Generation, Request, ServerLoad, TokenCount, Variant

__all__ = ["Model", "Pooled", "Preset", "Reloadable", "Remote", "Templated", "Tokenizing", "Watched"]


class Model(Protocol):
    """Answers requests. Several `generate` calls may be in flight at once; a model forms batches from all of them."""

    name: str
    """As the user wrote it."""
    chat: bool
    """Whether it takes messages (it has a chat template); every model takes a plain prompt where its server does."""
    plain_prompts: bool
    """Whether a bare prompt reaches it without a chat template."""
    scores_choices: bool
    """Whether it answers `Request.choices` with log-probabilities."""
    native_tools: bool
    """Whether it takes `Request.tools` and answers with calls; for any other they must stand in its prompt."""
    window: int | None
    """Tokens of prompt and answer together, where known."""
    concurrency: int
    """How many requests keep it busy."""
    gpus: int
    """GPUs that it runs on; 0 for none, or where that is not known."""
    has_speed: bool
    """Whether it makes its tokens itself, so that its speed means something."""

    async def start(self, say: Callable[[str], None]) -> None:
        """Makes it ready; `say` takes lines about what takes long.

        Raises:
            ModelNotAvailableError: it cannot be had.
        """
        ...

    async def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """Answers in the order of the requests.

        Raises:
            GenerationError: one of them could not be answered.
        """
        ...

    async def count_tokens(self, request: Request) -> TokenCount:
        """How many tokens it reads of a request: by its own tokenizer, else estimated, and marked as that.

        Raises:
            GenerationError: its chat template refuses the chat.
        """
        ...

    def describe(self) -> Mapping[str, Any]:
        """What is recorded with a run: versions, hashes, device. JSON values, no secrets."""
        ...

    async def close(self) -> None:
        """Frees what it holds; requests still waiting are abandoned."""
        ...


@runtime_checkable
class Watched(Protocol):
    """A model on a server that tells its load."""

    backlog: int
    """Requests to keep waiting at the server beside those it works on, so that it never runs short."""

    def load(self) -> ServerLoad | None:
        """The last reading, at most some seconds old; None while there is none."""
        ...


@runtime_checkable
class Remote(Protocol):
    """A model on an external server. `generate` raises ModelUnreachableError while its endpoint is down."""

    async def answers(self) -> bool:
        """Whether the endpoint answers now."""
        ...


@runtime_checkable
class Preset(Protocol):
    """A model that knows how its checkpoint wants to be sampled, where the user asked for that."""

    sampling_defaults: Mapping[str, float]
    """Values of `Sampling` by name, for those that the user left neutral; known once the model is started."""


@runtime_checkable
class Templated(Protocol):
    """A model whose chat template is known to us."""

    chat_templates: Sequence[str]
    """The texts that render its chats, known once the model is started; `describe` tells the first one's sha256."""


@runtime_checkable
class Tokenizing(Protocol):
    """A model whose tokenizer is at hand."""

    def text_counter(self) -> Callable[[Sequence[str]], Sequence[int]] | None:
        """Counts the tokens of texts by themselves, without special tokens; known once the model is started.

        May be called from any thread; None where the tokenizer has no fast form.
        """
        ...


@runtime_checkable
class Pooled(Protocol):
    """A model on several servers of ours; a request goes to the one with the fewest."""

    servers: int
    """Those that were started; they are numbered from 0."""

    def assign(self, servers: Mapping[str, Sequence[int]]) -> None:
        """Which servers answer the requests of which benchmark; of one that is not named, all do."""
        ...


@runtime_checkable
class Reloadable(Protocol):
    """A model that can be served anew in another way."""

    async def reload(self, variant: Variant) -> None:
        """Serves the model as the variant says; at once where it is so already.

        Raises:
            ModelNotAvailableError: it cannot be served so.
        """
        ...
