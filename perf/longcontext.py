"""Times how long-context prompts are made, beside lm-eval's RULER generators, and 500 prompts of 128K with memory.

Needs lm-eval (0.4) and wonderwords, nltk, scipy in an environment of their own, whose Python is named:
`PYTHONPATH=. python -m perf.longcontext --tokenizer FOLDER --lm-eval /path/to/python [--prompts 10]`.
Without `--lm-eval`, only the prompts of 128K are made.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from stackbench.benchmarks.longcontext import LongContext
from stackbench.benchmarks.longcontext.lengths import length_name
from stackbench.benchmarks.longcontext.options import LongContextOptions
from stackbench.datasets import DatasetStore
from stackbench.models.chat_template import ChatTemplate, own_templates
from stackbench.models.text_counting import counter_of_file
from stackbench.types import Generation, Request, Sampling, TokenCount

LENGTHS = (4096, 8192, 16384, 32768, 65536)
MIB = 1 << 20


class Counting:
    """What a benchmark asks of its context while prompts are made: the model's tokenizer and chat template."""

    chat = True
    plain_prompts = True
    timeout_s = None

    def __init__(self, folder: Path) -> None:
        self._count = counter_of_file(folder / "tokenizer.json")
        (template, *_) = own_templates(folder)
        self._template = ChatTemplate(template, {})
        self.whole_counts = 0

    def sampling(self, *, max_tokens: int, stop: Sequence[str] = ()) -> Sampling:
        return Sampling(max_tokens=max_tokens, stop=tuple(stop))

    async def text_counter(self, tokenizer: str = "") -> Callable[[Sequence[str]], list[int]]:
        return self._count

    async def count_tokens(self, request: Request) -> TokenCount:
        self.whole_counts += 1
        text = self._template.render(request.messages)
        return TokenCount((await asyncio.to_thread(self._count, [text]))[0], exact=True)

    async def generate(self, request: Request) -> Generation:
        return Generation(request.reference)

    def close(self) -> None:
        self._template.close()


async def make(folder: Path, lengths: Sequence[int], repeats: int, **options: Any) -> dict[str, Any]:
    """Makes every prompt of these lengths: seconds, prompts, tokens, the least and most fill, memory."""
    benchmark = LongContext(LongContextOptions(lengths=tuple(map(length_name, lengths)), repeats=repeats, **options))
    tasks = benchmark.tasks(DatasetStore(Path()))
    context, process = Counting(folder), psutil.Process()
    began, tokens, fills, memory = time.perf_counter(), 0, list[float](), list[int]()
    processor_began = time.process_time()
    for number, task in enumerate(tasks):
        prompt = await benchmark.prompt(task, context)  # type: ignore[arg-type]
        tokens += prompt.tokens
        fills.append(prompt.tokens / task.asked)
        if number % 20 == 0:
            memory.append(process.memory_info().rss // MIB)
    took, processor_s = time.perf_counter() - began, time.process_time() - processor_began
    context.close()
    half = len(memory) // 2
    return {
        "seconds": took, "processor_s": processor_s, "prompts": len(tasks), "tokens": tokens,
        "fill": (min(fills), max(fills)),
        "whole_counts": context.whole_counts, "memory_mib": (max(memory[:half] or memory), max(memory[half:])),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of a model")
    parser.add_argument("--lm-eval", type=Path, help="Python of an environment with lm-eval")
    parser.add_argument("--prompts", type=int, default=10, help="of each of lm-eval's tasks and lengths")
    arguments = parser.parse_args()
    if arguments.lm_eval:
        compare(arguments.tokenizer, arguments.lm_eval, arguments.prompts)
    found = asyncio.run(make(arguments.tokenizer, [131072], 5))
    early, late = found["memory_mib"]
    print(
        f"128K: {found['prompts']} prompts, {found['tokens'] / 1e6:.1f} million tokens in {found['seconds']:.1f} s "
        f"({found['processor_s']:.1f} s of processors); fill {found['fill'][0]:.4f} to {found['fill'][1]:.4f}; "
        f"{found['whole_counts']} texts counted whole; memory at most {early} MiB in the first half, {late} MiB in the "
        "second"
    )


def compare(folder: Path, python: Path, count: int) -> None:
    """Prints prompts per second of both, by length."""
    child = subprocess.run(
        [str(python), str(Path(__file__).with_name("ruler_generator.py")), str(folder), str(count), *map(str, LENGTHS)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    theirs = json.loads(child.stdout)
    for length in LENGTHS:
        tasks = theirs[str(length)]
        their_rate = sum(task["prompts"] for task in tasks.values()) / sum(task["seconds"] for task in tasks.values())
        least = min(task["fill"] for task in tasks.values())
        ours = asyncio.run(make(folder, [length], 5))
        rate = ours["prompts"] / ours["seconds"]
        print(
            f"{length_name(length):>4}: {rate:8.1f} prompts/s (fill from {ours['fill'][0]:.4f}), lm-eval "
            f"{their_rate:6.2f} prompts/s (fill from {least:.4f}): {rate / their_rate:.0f} times as fast",
            flush=True,
        )


if __name__ == "__main__":
    main()
