"""Proves that needles are what they are said to be: BM25's best sentence answers the literal ones, the latent ones at
chance. Prints, for each kind, the share of questions that it answers.

`PYTHONPATH=. python -m perf.longcontext_soundness --tokenizer FOLDER [--length 8K] [--repeats 20]`; needs bm25s.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from pathlib import Path

import bm25s

from perf.longcontext import Counting
from stackbench.benchmarks.longcontext import LongContext
from stackbench.benchmarks.longcontext.haystack import Question
from stackbench.benchmarks.longcontext.judging import judge
from stackbench.benchmarks.longcontext.options import LongContextOptions
from stackbench.datasets import DatasetStore

LITERAL = ("single", "multikey", "distractors")
LATENT = ("onehop", "twohop")
LEAST_LITERAL = 0.95


def best_sentence(question: str, text: str) -> str:
    """The line of a text that BM25 ranks first for a question (without the words on how to reply).

    Where no line shares a word with it, all rank alike, and one is drawn.
    """
    lines = text.splitlines()
    retriever = bm25s.BM25()
    retriever.index(bm25s.tokenize(lines, stopwords="en", show_progress=False), show_progress=False)
    asked = bm25s.tokenize([question.split("?")[0]], stopwords="en", show_progress=False)
    found, scores = retriever.retrieve(asked, corpus=lines, k=1, show_progress=False)
    return str(found[0, 0]) if scores[0, 0] > 0 else random.Random(question).choice(lines)


def answered(question: Question, text: str) -> bool:
    """Whether that line answers the question: it names the answer and nothing else that could be one."""
    return judge(question, f"Answer: {best_sentence(question.text, text)}", "").passed


async def answered_shares(context: Counting, length: str, repeats: int) -> dict[str, tuple[float, float, int]]:
    """By kind: the share of questions answered, the chance of picking the right line's name, and their number."""
    found: dict[str, list[tuple[bool, float]]] = {}
    for family, variants in (("needle", LITERAL), ("latent", LATENT)):
        options = LongContextOptions(lengths=(length,), families=(family,), variants=variants, repeats=repeats)
        benchmark = LongContext(options)
        for task in benchmark.tasks(DatasetStore(Path())):
            prompt = await benchmark.prompt(task, context)  # type: ignore[arg-type]
            chance = 1 / max(1, len(prompt.question.candidates))
            found.setdefault(task.variant, []).append((answered(prompt.question, prompt.haystack), chance))
    return {
        kind: (sum(hit for hit, _ in hits) / len(hits), sum(chance for _, chance in hits) / len(hits), len(hits))
        for kind, hits in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of a model")
    parser.add_argument("--length", default="8K")
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parser.parse_args()
    context = Counting(arguments.tokenizer)
    try:
        shares = asyncio.run(answered_shares(context, arguments.length, arguments.repeats))
    finally:
        context.close()
    for kind, (share, chance, count) in shares.items():
        literal = kind.startswith("needle")
        wanted = f"at least {LEAST_LITERAL:.2f}" if literal else f"at most a guess among the names, {chance:.3f}"
        print(f"{kind}: BM25's best sentence answers {share:.3f} of {count} questions ({wanted})")


if __name__ == "__main__":
    main()
