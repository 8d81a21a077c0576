"""Literal needles are found by their words; latent ones are not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stackbench.benchmarks.longcontext import LongContext
from stackbench.benchmarks.longcontext.latent import NEEDLES
from stackbench.benchmarks.longcontext.options import LongContextOptions
from stackbench.benchmarks.longcontext.vocabulary import vocabulary
from stackbench.datasets import DatasetStore
from tests.benchmarks.longcontext.long_context import LongScripted, train_tokenizer

USUAL = {"which", "character", "has", "a", "home", "in", "the"}


async def test_bm25_answers_literal_needles_and_latent_ones_at_chance() -> None:
    pytest.importorskip("bm25s")
    from perf.longcontext_soundness import answered_shares

    shares = await answered_shares(LongScripted(train_tokenizer("qwen")), "2K", 6)  # type: ignore[arg-type]
    assert all(share >= 0.95 for kind, (share, _, _) in shares.items() if kind.startswith("needle/"))
    latent = {kind: found for kind, found in shares.items() if kind.startswith("latent/")}
    assert set(latent) == {"latent/onehop", "latent/twohop"}
    assert all(share <= chance for share, chance, _ in latent.values())


async def test_a_latent_needle_shares_no_content_word_with_its_question() -> None:
    options = LongContextOptions(lengths=("1K",), families=("latent",), repeats=8)
    benchmark, context = LongContext(options), LongScripted(train_tokenizer("qwen"))
    for task in benchmark.tasks(DatasetStore(Path())):
        prompt = await benchmark.prompt(task, context)  # type: ignore[arg-type]
        asked = set(re.findall(r"\w+", prompt.question.text.split("?")[0].lower())) - USUAL
        needle = set(re.findall(r"\w+", prompt.question.needle.lower()))
        assert not asked & needle, prompt.question


def test_no_two_landmarks_lead_to_one_town_or_country() -> None:
    found = vocabulary().landmarks
    assert len({one.town for one in found}) == len({one.country for one in found}) == len(found)
    assert all("{name}" in needle and "{landmark}" in needle for needle in NEEDLES)
