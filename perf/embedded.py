"""The embedded model over a HumanEval run: tokens/s, beside what this processor's matrix products allow.

Usage: python -m perf.embedded [TASKS]    Prints completion and total tokens/s of the run (model loading left out), the
processor, the dtype, the measured matrix-product rate, and the share of it that the run kept busy.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from platformdirs import user_data_path

from perf.peers import stackbench, timed

# Multiply-adds per token: all weights once for a drawn token, all but the output projection for a prompt token.
WEIGHTS, OUTPUT_WEIGHTS = 494_032_768, 136_134_656


def main() -> None:
    tasks = sys.argv[1] if len(sys.argv) > 1 else "164"
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        (home / "models").symlink_to(user_data_path("stackbench", appauthor=False) / "models")
        done = timed(stackbench("eval", "humaneval", "--limit", tasks, "--json", "--home", name))
        result = json.loads(done.stdout)["results"][0]
        sql = (
            "SELECT sum(completion_tokens) AS drawn, sum(prompt_tokens) AS read, "
            "epoch(max(started_at + to_microseconds(CAST(1e6 * latency_s AS BIGINT))) - min(started_at)) AS seconds, "
            "any_value(environment->>'$.model.dtype') AS dtype, any_value(environment->>'$.cpu') AS cpu "
            "FROM attempts JOIN runs USING (run_id)"
        )
        (row,) = json.loads(timed(stackbench("query", sql, "--format", "json", "--home", name)).stdout)
    rate = matrix_rate(row["dtype"])
    needed = 2 * (row["drawn"] * WEIGHTS + row["read"] * (WEIGHTS - OUTPUT_WEIGHTS)) / 1e9
    pass_1 = result["metrics"]["pass@1"]["value"]
    print(f"{row['cpu']}, {row['dtype']}; {result['attempts']} tasks, pass@1 {pass_1:.3f}, {row['seconds']:.0f} s")
    print(
        f"{row['drawn'] / row['seconds']:.0f} completion tokens/s (asked: 90), {row['drawn']} drawn, {row['read']} read"
    )
    print(f"{(row['drawn'] + row['read']) / row['seconds']:.0f} tokens/s in all")
    print(f"matrix products of 64 rows: {rate:.0f} GFLOP/s here; the run needs {needed:.0f} GFLOP,")
    print(f"so {needed / rate:.0f} s at the least: {needed / rate / row['seconds']:.0%} of its time")


def matrix_rate(dtype: str) -> float:
    """GFLOP/s of a product of the model's largest layer with 64 rows."""
    import torch

    rows, weights = (
        torch.randn(64, 896, dtype=getattr(torch, dtype)),
        torch.randn(4864, 896, dtype=getattr(torch, dtype)),
    )
    best = 0.0
    for _ in range(20):
        began = time.perf_counter()
        for _ in range(10):
            torch.nn.functional.linear(rows, weights)
        best = max(best, 10 * 2 * 64 * 896 * 4864 / (time.perf_counter() - began) / 1e9)
    return best


if __name__ == "__main__":
    main()
