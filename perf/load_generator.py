"""What the throughput benchmark's load generator costs: 512 streams at 5,000 tokens/s against a fake server.

Asked: under one processor. Run: python -m perf.load_generator
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

from stackbench.benchmarks.throughput.figures import load_figures
from stackbench.benchmarks.throughput.load import closed_loop
from stackbench.models import ModelOptions, create_model
from stackbench.types import Generation, Request, Sampling

STREAMS = 512
TOKENS_PER_S = 5000
OUTPUT_TOKENS = 128
WAVES = 2


async def measure(url: str) -> None:
    model = create_model(f"openai:fake@{url}", ModelOptions())
    await model.start(lambda line: None)
    asked = Request(Sampling(max_tokens=OUTPUT_TOKENS, ignore_eos=True), prompt="a prompt of some words", stream=True)

    async def send(request: Request) -> Generation:
        return (await model.generate([request]))[0]

    cpu, wall = time.process_time(), time.perf_counter()
    load = await closed_loop([asked] * (STREAMS * WAVES), STREAMS, send)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    answers = [answer for answer in load.answers if answer is not None]
    figures = load_figures(answers, load.seconds, 0, None)
    print(f"{STREAMS} streams, {figures['output_tok_s']:.0f} tokens/s for {wall:.1f} s, {len(load.errors)} errors")
    print(f"{load.most_at_once} at once; {cpu / wall:.2f} processors (asked: under 1)")
    print(f"{1e6 * cpu / figures['output_tokens']:.0f} us of processor time per token")
    print(f"gap between tokens: {figures['itl_ms_p50']:.1f} ms p50, {figures['itl_ms_p99']:.1f} ms p99")
    await model.close()


def main() -> None:
    command = [sys.executable, "-m", "perf.token_server", str(STREAMS / TOKENS_PER_S)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            asyncio.run(measure(f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"))
        finally:
            server.kill()


if __name__ == "__main__":
    main()
