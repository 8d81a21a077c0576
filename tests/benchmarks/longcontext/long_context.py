"""A context for long prompts: a tokenizer trained here, a chat template around each message, written answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from stackbench.benchmarks.longcontext.prose import sentences
from stackbench.types import Generation, Request, Sampling, TokenCount

__all__ = ["LongScripted", "train_tokenizer"]

BEFORE, AFTER = "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"
QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


@cache
def train_tokenizer(kind: str) -> Any:
    """A small tokenizer that splits texts as families of real ones do: `qwen`, `gpt2`, `sentencepiece`."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="?"))
    split: list[Any] = {
        "qwen": [
            pre_tokenizers.Split(Regex(QWEN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ],
        "gpt2": [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)],
        "sentencepiece": [pre_tokenizers.Metaspace(prepend_scheme="first", split=True)],
    }[kind]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(split)
    alphabet = pre_tokenizers.ByteLevel.alphabet() if kind != "sentencepiece" else [chr(n) for n in range(10, 127)]
    trainer = trainers.BpeTrainer(
        vocab_size=2000, special_tokens=["?", "<|im_start|>", "<|im_end|>"], initial_alphabet=alphabet
    )
    tokenizer.train_from_iterator(sentences("test")[:2000], trainer)
    return tokenizer


class LongScripted:
    """Implements what `LongContext` uses of `Context`, `PrepareContext` and `ServedModel`."""

    chat = True
    timeout_s: float | None = None

    def __init__(
        self,
        tokenizer: Any,
        answer: Callable[[Request], Generation | str] = lambda request: request.reference,
        *,
        at_hand: bool = True,
        counted: bool = True,
        window: int | None = None,
    ) -> None:
        self.window = window
        self.think_tokens = 0
        self.sent: list[Request] = []
        self.said: list[str] = []
        self._tokenizer = tokenizer
        self._answer = answer
        self._at_hand = at_hand
        self._counted = counted

    def tokens(self, request: Request) -> int:
        """What the model reads of a request."""
        text = f"{BEFORE}{request.messages[-1].content}{AFTER}" if request.messages else request.prompt or ""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def sampling(self, *, max_tokens: int, stop: Sequence[str] = ()) -> Sampling:
        return Sampling(max_tokens=max_tokens, stop=tuple(stop))

    async def text_counter(self, tokenizer: str = "") -> Callable[[Sequence[str]], list[int]] | None:
        def count(texts: Sequence[str]) -> list[int]:
            return [len(one.ids) for one in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]

        return count if self._at_hand else None

    async def count_tokens(self, request: Request) -> TokenCount:
        if self._counted:
            return TokenCount(self.tokens(request), exact=True)
        return TokenCount(len(request.messages[-1].content) // 3, exact=False)

    async def generate(self, request: Request) -> Generation:
        self.sent.append(request)
        answer = self._answer(request)
        if isinstance(answer, Generation):
            return answer
        return Generation(answer, prompt_tokens=self.tokens(request))

    async def timed(self, request: Request) -> Generation:
        return Generation("", prompt_tokens=self.tokens(request))

    def say(self, line: str) -> None:
        self.said.append(line)
