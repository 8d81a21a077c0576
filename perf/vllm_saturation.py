"""HumanEval on a vLLM server of stackbench's own: the share of the time in which it has all the work it can take.

Usage: python -m perf.vllm_saturation [CONCURRENCY]     STACKBENCH_VLLM_BIN names the vllm program.
Saturated: running + waiting >= the concurrency asked for. Counted from the first request to the last wave, which begins
when fewer requests than that are left. Asked: 95%.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from platformdirs import user_data_path

from perf.peers import data_dir, stackbench

MODEL = "vllm:qwen2.5-coder-0.5b-instruct"
ROWS = "SELECT epoch(ts) AS at, running, waiting, tokens_per_s AS speed FROM resources ORDER BY ts"
STARTS = "SELECT epoch(started_at) AS at, latency_s FROM attempts ORDER BY 1"
ENDS = "SELECT epoch(ts) AS at FROM events WHERE kind = 'model_call' ORDER BY 1"


def main(concurrency: int) -> None:
    data_dir()
    vllm = os.environ.get("STACKBENCH_VLLM_BIN", "vllm")
    with tempfile.TemporaryDirectory() as home:
        Path(home, "models").symlink_to(user_data_path("stackbench", appauthor=False) / "models")
        command = stackbench("eval", "humaneval", "-m", MODEL, "--vllm-bin", vllm, "--concurrency", str(concurrency))
        done = subprocess.run([*command, "--max-model-len", "4096", "--json", "--home", home], stdout=-1, check=True)
        rows, ends = query(home, ROWS), query(home, ENDS)
        first = query(home, "SELECT min(epoch(started_at)) AS at FROM attempts")[0]["at"]
    document = json.loads(done.stdout)
    last_wave = ends[max(0, len(ends) - concurrency)]["at"]
    measured = [row for row in rows if first + 1 <= row["at"] <= last_wave and row["running"] is not None]
    full = [row for row in measured if row["running"] + row["waiting"] >= concurrency]
    value = document["results"][0]["metrics"]["pass@1"]["value"]
    seconds = ends[-1]["at"] - first
    tail = ends[-1]["at"] - last_wave
    print(f"humaneval: pass@1 {value:.3f}, {len(ends)} answers in {seconds:.0f} s; last wave {tail:.0f} s")
    share = len(full) / len(measured)
    print(f"saturated in {len(full)} of {len(measured)} seconds until the last wave: {share:.3f} (asked: 0.95)")
    speed = sum(row["speed"] for row in measured) / len(measured)
    print(f"{speed:.0f} tokens/s, {concurrency} at once")


def query(home: str, sql: str) -> list[dict[str, float]]:
    done = subprocess.run(stackbench("query", sql, "--format", "json", "--home", home), stdout=-1, check=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 32)
