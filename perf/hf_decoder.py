"""The decoder of hf: models beside Transformers' `generate` and `generate_batch`, and llama.cpp on the same model.

Usage: python -m perf.hf_decoder [--rounds N] [--streams 2,16,64] [--float32] [--parts hf,generate,batch,gguf]

Everything runs in turn in one process (llama.cpp in its own) on the embedded model, on all processors, with answers of
a fixed length. Requests are distinct; sampled ones have temperature 0.8 and ask each prompt up to ten times, each with
a seed of its own, which Transformers does not have: there they share the process's. Prints completion tokens per second
(reading the prompts included), medians of the rounds, and the ratio of hf: to each. --float32 is what a processor
without bfloat16 uses; with ONEDNN_MAX_CPU_ISA=AVX2 and ATEN_CPU_CAPABILITY=avx2 it stands in for such a one.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from platformdirs import user_data_path

from stackbench.models import ModelOptions
from stackbench.models.gguf import GgufModel
from stackbench.models.hardware import cpu_flags
from stackbench.models.hf import HFModel
from stackbench.models.pull import locate
from stackbench.types import Request, Sampling

MODEL = "qwen2.5-coder-0.5b-instruct"
SAMPLES = 10
TOKENS = {"short": 32, "long": 16}
"""Of an answer."""
LINES = {"short": 2, "long": 30}
"""Of a prompt; a line has about ten tokens."""


@dataclass(frozen=True, slots=True)
class Case:
    sampled: bool
    length: str
    streams: int

    @property
    def name(self) -> str:
        return f"{'sampled' if self.sampled else 'greedy'}, {self.length} prompts, {self.streams} at once"

    def requests(self, number: int) -> list[Request]:
        """Those of one round; prompts of a round are distinct, so that none has been read before."""
        found: list[Request] = []
        for index in range(self.streams):
            which = index // SAMPLES if self.sampled else index
            lines = [f"value_{line} = {line * 7 + which}  # {number}" for line in range(LINES[self.length])]
            sampling = Sampling(
                temperature=0.8 if self.sampled else 0.0, seed=index, max_tokens=TOKENS[self.length], ignore_eos=True
            )
            found.append(Request(sampling, prompt=f"# {self.name} {number}.{which}\n" + "\n".join(lines) + "\ndef f("))
        return found


Engine = Callable[[list[Request]], Awaitable[int]]
"""Answers requests; returns how many tokens it made."""


class Peers:
    """Transformers' own two ways to generate, on the same weights in the same precision."""

    def __init__(self, folder: Path, dtype: str) -> None:
        import torch
        import transformers

        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        self._torch: Any = torch
        self._transformers: Any = transformers
        self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
        self._model: Any = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()

    def _config(self, requests: list[Request]) -> Any:
        sampling = requests[0].sampling
        return self._transformers.GenerationConfig(
            max_new_tokens=sampling.max_tokens,
            min_new_tokens=sampling.max_tokens,
            do_sample=sampling.temperature > 0,
            eos_token_id=-1,
            pad_token_id=0,
            **({"temperature": sampling.temperature, "top_k": 0, "top_p": 1.0} if sampling.temperature else {}),
        )

    def generate(self, requests: list[Request]) -> int:
        prompts = [request.prompt for request in requests]
        batch = self._tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left")
        with self._torch.inference_mode():
            out = self._model.generate(**batch, generation_config=self._config(requests))
        return int(out[:, batch.input_ids.shape[1] :].numel())

    def generate_batch(self, requests: list[Request]) -> int:
        ids = [self._tokenizer.encode(request.prompt) for request in requests]
        tokens = sum(map(len, ids)) + len(ids) * requests[0].sampling.max_tokens
        options = self._transformers.ContinuousBatchingConfig(
            page_size=64, num_blocks=tokens // 64 + 2 * len(ids) + 8, max_batch_tokens=1024
        )
        config = self._config(requests)
        config.min_new_tokens = None  # it leaves the end out by itself where none is named
        out = self._model.generate_batch(
            ids, generation_config=config, continuous_batching_config=options, progress_bar=False
        )
        return sum(len(one.generated_tokens) for one in out.values())


def engine_of(model: HFModel | GgufModel) -> Engine:
    async def answer(requests: list[Request]) -> int:
        return sum(one.completion_tokens for one in await model.generate(requests))

    return answer


def in_thread(call: Callable[[list[Request]], int]) -> Engine:
    """So that the event loop goes on: it sees which connections the server has closed."""

    async def answer(requests: list[Request]) -> int:
        return await asyncio.to_thread(call, requests)

    return answer


async def measure(cases: list[Case], rounds: int, parts: list[str], dtype: str | None) -> None:
    home = user_data_path("stackbench", appauthor=False)
    hf = HFModel(f"hf:{MODEL}", MODEL, ModelOptions(home=home, dtype=dtype))
    await hf.start(say)
    engines: dict[str, Engine] = {"hf": engine_of(hf)}
    used = str(hf.describe()["dtype"])
    peers = Peers(locate(MODEL, home / "models", say), used) if {"generate", "batch"} & set(parts) else None
    if peers is not None:
        engines |= {"generate": in_thread(peers.generate), "batch": in_thread(peers.generate_batch)}
    with tempfile.TemporaryDirectory() as logs:
        gguf = GgufModel(
            f"gguf:{MODEL}", MODEL, ModelOptions(home=home, logs=Path(logs), max_batch=16, max_model_len=2048)
        )
        if "gguf" in parts:
            await gguf.start(say)
            engines["gguf"] = engine_of(gguf)
        engines = {name: engine for name, engine in engines.items() if name in parts}
        print(f"{processor()}, {used}; tokens/s, median of {rounds}; ratios of hf to each")
        for case in cases:
            rates: dict[str, list[float]] = {name: [] for name in engines}
            for number in range(rounds + 1):
                for name, engine in engines.items():
                    requests = case.requests(number)
                    began = time.perf_counter()
                    made = await engine(requests)
                    if number or rounds == 0:  # the first round warms up
                        rates[name].append(made / (time.perf_counter() - began))
            middle = {name: statistics.median(found) for name, found in rates.items()}
            ratios = {name: middle["hf"] / rate for name, rate in middle.items() if name != "hf"}
            print(
                f"{case.name:36}",
                *(f"{name} {rate:6.1f}" for name, rate in middle.items()),
                "|",
                *(f"{name} {ratio:5.2f}" for name, ratio in ratios.items()),
                flush=True,
            )
        await gguf.close()
    await hf.close()


def say(line: str) -> None:
    print(line, file=sys.stderr)


def processor() -> str:
    kinds = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in cpu_flags()]
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    name = names[0].partition(":")[2].strip() if names else "processor"
    return f"{name}, {psutil.cpu_count()} processors ({', '.join(kinds)})"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--streams", default="2,16,64")
    parser.add_argument("--lengths", default="short,long")
    parser.add_argument("--modes", default="greedy,sampled")
    parser.add_argument("--float32", action="store_true")
    parser.add_argument("--parts", default="hf,generate,batch,gguf")
    given = parser.parse_args()
    cases = [
        Case(mode == "sampled", length, streams)
        for mode in given.modes.split(",")
        for length in given.lengths.split(",")
        for streams in map(int, given.streams.split(","))
    ]
    asyncio.run(measure(cases, given.rounds, given.parts.split(","), "float32" if given.float32 else None))


if __name__ == "__main__":
    main()
