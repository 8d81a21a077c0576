"""The decoding loop of the in-process model: continuous batches, exact sampling per request. Imports torch.

Rows of different requests are decoded together. Rows that end leave, waiting requests join, so that a long answer does
not hold a batch that has finished otherwise.
"""

# Methods of torch and transformers have partial types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import inspect
import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import DynamicCache

from stackbench.models.kv_cache import close_gaps, copy_row, empty_cache, expect_positions, start_from_prefixes
from stackbench.models.length_buckets import Bucket, Row, length_class, longest_in_class, regroup
from stackbench.models.prefixes import SHORTEST_PREFIX, KnownPrefix, PrefixStore, common_prefix
from stackbench.models.sampling import SeenTokens, draw_tokens, is_plain, penalises, uniform
from stackbench.types import FinishReason, Generation

__all__ = ["BatchDecoder"]

PREFILL_TOKENS = {"cpu": 1024, "cuda": 16384}  # read together: enough to fill the device, few enough to stop soon
LEAST_CHUNK = 128
MASK_CELLS = 1 << 28
"""Of a chunk's attention mask: its positions by all before them."""


class BatchDecoder:
    """Holds the running batch; `add` rows, then `step` until it is empty. Not thread-safe: one thread owns it."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        eos_ids: set[int],
        max_batch: int,
        cache_tokens: int,
        kept_bytes: int,
        stopping: Callable[[], bool],
    ) -> None:
        """`cache_tokens`: how many may have keys and values at once; `kept_bytes`: for earlier prompts, beside."""
        self._stopping = stopping
        self._prefill_tokens = PREFILL_TOKENS.get(model.device.type, 4096)
        self._model = model
        self._tokenizer = tokenizer
        self._eos = eos_ids
        self.max_batch = max_batch
        self.prompt_tokens = self.prefix_hits = self.completion_tokens = 0
        self._buckets: list[Bucket] = []
        self._layers = int(model.config.get_text_config().num_hidden_layers)
        self._cache_tokens = cache_tokens
        self._prefixes = PrefixStore(kept_bytes)
        # Transformers renamed it; a model file of one's own may still have the old name.
        named = inspect.signature(model.forward).parameters
        self._cache_argument = "cache" if "cache" in named else "past_key_values"

    @property
    def live(self) -> int:
        """Rows that have not ended."""
        return sum(len(bucket.live) for bucket in self._buckets)

    def has_room(self, row: Row, beside: Sequence[Row]) -> bool:
        """Whether it can join, with these, and all be decoded to their ends; by itself a row always can."""
        others = [*beside, *(bucket.rows[index] for bucket in self._buckets for index in bucket.live)]
        return not others or sum(map(_most_positions, [row, *others])) <= self._cache_tokens

    @torch.inference_mode()
    def add(self, rows: list[Row]) -> None:
        """Takes rows in: reads their prompts (in batches of like length) and draws their first tokens."""
        if not rows:
            return
        self._read_shared_prefix(rows)
        rows = self._read_long(rows)
        found = [(row, self._prefixes.find(row.prompt_ids, at_most=len(row.prompt_ids) - 1)) for row in rows]
        found.sort(key=lambda one: (length_class(len(one[0].prompt_ids)), _unread(*one)))
        start = 0
        while start < len(found) and not self._stopping():
            end = start + 1
            alike = length_class(len(found[start][0].prompt_ids))
            while (
                end < len(found)
                and length_class(len(found[end][0].prompt_ids)) == alike
                and (end + 1 - start) * _unread(*found[end]) <= self._prefill_tokens
            ):
                end += 1
            self._prefill(found[start:end])
            start = end

    @torch.inference_mode()
    def step(self) -> None:
        """Draws one more token for every row."""
        self._buckets = regroup(self._layers, self._buckets)
        for bucket in self._buckets:
            past = bucket.cache.get_seq_length()
            logits = self._forward(bucket.next[:, None], bucket.mask(), past, bucket.cache)
            for row in bucket.rows:
                row.length += 1
            bucket.next = self._draw(bucket.rows, logits, bucket.cache)

    def abandon(self) -> list[Row]:
        """Lets go of every row and of the memory they took; returns those that had not ended."""
        live = [bucket.rows[index] for bucket in self._buckets for index in bucket.live]
        self._buckets = []
        self._prefixes.clear()
        torch.cuda.empty_cache()
        return live

    def reduce_memory(self, rows: int) -> None:
        """From now on at most so many rows at once, and half as much of everything else that takes memory."""
        self.max_batch = rows
        self._cache_tokens //= 2
        self._prefill_tokens //= 2
        self._prefixes = PrefixStore(self._prefixes.budget_bytes // 2)

    def _read_long(self, rows: list[Row]) -> list[Row]:
        """Reads the prompts that are read in chunks, each by itself and in their order, and returns the other rows.

        What one of them shares with the next is kept, so that it is read once (`Request.shared_prefix`).
        """
        others: list[Row] = []
        for row in rows:
            known = self._prefixes.find(row.prompt_ids, at_most=len(row.prompt_ids) - 1)
            if _unread(row, known) <= self._prefill_tokens:
                others.append(row)
            elif not self._stopping():
                self._prefill([(row, known)], keep=row.request.shared_prefix > 0)
        return others

    def _read_shared_prefix(self, rows: list[Row]) -> None:
        """Reads once what all these rows begin with, unless it is known."""
        if len(rows) == 1:
            return
        first = rows[0].prompt_ids
        shared = min(min(common_prefix(first, row.prompt_ids), len(row.prompt_ids) - 1) for row in rows)
        known = self._prefixes.find(first, at_most=shared)
        if shared - known.length < SHORTEST_PREFIX:
            return
        cache = self._begin([known])
        ids = torch.tensor([first[known.length : shared]])
        if self._read(ids, torch.ones((1, shared), dtype=torch.long), known.length, cache) is None:
            return
        self._prefixes.keep(first[:shared], shared, cache)
        self.prefix_hits -= shared - known.length  # read just now: found by all of these rows but one

    def _begin(self, known: Sequence[KnownPrefix]) -> DynamicCache:
        """A cache with a row for each of these."""
        cache = empty_cache(self._layers)
        width = max(one.length for one in known)
        if width:
            start_from_prefixes(cache, [(one.cache, one.length) for one in known], width)
        return cache

    def _prefill(self, found: Sequence[tuple[Row, KnownPrefix]], *, keep: bool = False) -> None:
        """Reads these prompts together and draws their first tokens; `keep`: what was read of the first is kept."""
        rows = [row for row, _ in found]
        known = [prefix for _, prefix in found]
        suffixes = [row.prompt_ids[prefix.length :] for row, prefix in found]
        past, width = max(one.length for one in known), max(map(len, suffixes))
        ids = torch.zeros((len(rows), width), dtype=torch.long)
        mask = torch.zeros((len(rows), past + width), dtype=torch.long)
        for index, (prefix, suffix) in enumerate(zip(known, suffixes, strict=True)):
            mask[index, past - prefix.length : past] = 1
            ids[index, width - len(suffix) :] = torch.tensor(suffix)
            mask[index, past + width - len(suffix) :] = 1
        cache = self._begin(known)
        logits = self._read(ids, mask, past, cache)
        if logits is None:
            return
        close_gaps(cache, past, [one.length for one in known], [len(suffix) for suffix in suffixes])
        self.prefix_hits += sum(one.length for one in known)
        for row in rows:
            row.length = len(row.prompt_ids)
            self.prompt_tokens += row.length
            sampling = row.request.sampling
            if penalises(sampling):
                row.seen = SeenTokens.of(row.prompt_ids, logits[0])
            if sampling.temperature > 0:
                row.generator = torch.Generator()
                row.generator.manual_seed(sampling.seed if sampling.seed is not None else 0)
        if keep:
            end = cache.get_seq_length()
            self._prefixes.keep(rows[0].prompt_ids, len(rows[0].prompt_ids), copy_row(cache, 0, 0, end))
        self._score_choices(rows, logits)
        bucket = Bucket(rows, cache, self._draw(rows, logits, cache))
        if bucket.live:
            self._buckets.append(bucket)

    def _read(self, ids: torch.Tensor, mask: torch.Tensor, past: int, cache: DynamicCache) -> torch.Tensor | None:
        """As `_forward`; a row by itself in chunks, so that memory does not grow with its length. None: stopped."""
        width = ids.shape[1]
        if len(ids) > 1 or width <= self._prefill_tokens:
            return self._forward(ids, mask, past, cache)
        expect_positions(cache, past + width)
        logits: torch.Tensor | None = None
        start = 0
        while start < width:
            if self._stopping():
                return None
            end = min(width, start + max(LEAST_CHUNK, min(self._prefill_tokens, MASK_CELLS // (past + width))))
            logits = self._forward(ids[:, start:end], mask[:, : past + end], past + start, cache)
            start = end
        return logits

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor, past: int, cache: DynamicCache) -> torch.Tensor:
        """The last position's logits, (B, V); `mask` covers the `past` positions in the cache and the new ones."""
        device = self._model.device
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, past:]
        return (
            self._model(
                input_ids=ids.to(device),
                attention_mask=mask.to(device),
                position_ids=positions.to(device),
                use_cache=True,
                logits_to_keep=1,
                **{self._cache_argument: cache},
            )
            .logits[:, -1]
            .to(device)
        )  # of a model on several GPUs, the last one's

    def _score_choices(self, rows: list[Row], logits: torch.Tensor) -> None:
        for index, row in enumerate(rows):
            if not row.choice_ids:
                continue
            logprobs = torch.log_softmax(logits[index].float(), dim=-1)[row.choice_ids].tolist()
            best = max(range(len(logprobs)), key=logprobs.__getitem__)
            row.finish = FinishReason.STOP
            row.done(self._generation(row, row.request.choices[best], tuple(logprobs)))

    def _draw(self, rows: list[Row], logits: torch.Tensor, cache: DynamicCache) -> torch.Tensor:
        """Draws a token for each row of this cache; rows that end with it are done."""
        drawn = _next_tokens(rows, logits)
        now = time.perf_counter()
        for index, (row, token) in enumerate(zip(rows, drawn.tolist(), strict=True)):
            if row.finish is None:
                row.first_token_at = row.first_token_at or now
                row.ids.append(token)
                if row.seen is not None:
                    row.seen.made[token] += 1
                self.completion_tokens += 1
                if row.request.stream:
                    row.token_times.append(now)
                self._check_end(row, token)
                if row.finish is not None and row.request.keep_prefix:
                    end = cache.get_seq_length()
                    ids = [*row.prompt_ids, *row.ids[:-1]]  # the last one drawn has not been read
                    self._prefixes.keep(ids, len(row.prompt_ids), copy_row(cache, index, end - row.length, end))
        return drawn

    def _check_end(self, row: Row, token: int) -> None:
        text: str | None = None
        if token in self._eos and not row.request.sampling.ignore_eos:
            row.finish = FinishReason.STOP
        else:
            text = self._cut_at_stop(row)
            if text is not None:
                row.finish = FinishReason.STOP
            elif len(row.ids) >= row.max_tokens:
                row.finish = FinishReason.LENGTH
        if row.finish is not None:
            row.done(self._generation(row, self._decode(row.ids) if text is None else text, None))

    def _cut_at_stop(self, row: Row) -> str | None:
        """The text before the first stop string, once one has been written; looks at the tail only until then."""
        stops = row.request.sampling.stop
        if not stops:
            return None
        tail = self._decode(row.ids[-(max(map(len, stops)) + 8) :])
        if not any(stop in tail for stop in stops):
            return None
        text = self._decode(row.ids)
        places = [place for place in (text.find(stop) for stop in stops) if place >= 0]
        return text[: min(places)] if places else None

    def _decode(self, ids: list[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def _generation(self, row: Row, text: str, logprobs: tuple[float, ...] | None) -> Generation:
        now = time.perf_counter()
        return Generation(
            text=text,
            finish_reason=row.finish or FinishReason.STOP,
            prompt_tokens=len(row.prompt_ids),
            completion_tokens=len(row.ids),
            latency_s=now - row.arrived,
            ttft_s=None if row.first_token_at is None else row.first_token_at - row.arrived,
            gaps_s=tuple(later - earlier for earlier, later in itertools.pairwise(row.token_times)),
            choice_logprobs=logprobs,
        )


def _next_tokens(rows: Sequence[Row], logits: torch.Tensor) -> torch.Tensor:
    """A token for each row, (B,), from the scores (B, V); anything for rows that have ended."""
    chosen = [index for index, row in enumerate(rows) if row.finish is None and not is_plain(row.request.sampling)]
    if not chosen:
        return logits.max(dim=-1).indices  # of argmax, which takes five times as long
    mine = [rows[index] for index in chosen]
    drawn = draw_tokens(
        logits if len(mine) == len(rows) else logits[chosen],
        [row.request.sampling for row in mine],
        [row.seen for row in mine],
        [uniform(row.generator) for row in mine],
    )
    if len(mine) == len(rows):
        return drawn
    return logits.max(dim=-1).indices.index_copy(0, torch.tensor(chosen, device=drawn.device), drawn)


def _most_positions(row: Row) -> int:
    """In the cache, when it has grown to its end, among rows of its class."""
    return longest_in_class(len(row.prompt_ids) + row.max_tokens)


def _unread(row: Row, known: KnownPrefix) -> int:
    return len(row.prompt_ids) - known.length
