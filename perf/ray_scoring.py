"""A HumanEval scoring job on two Ray nodes of this machine, of one processor each, beside the local executor.

Usage: python -m perf.ray_scoring [ROUNDS] [SAMPLES_PER_TASK]

The nodes share what the local executor has for itself: as many code samples at once. Prints seconds of the whole
command, of the attempts alone (first start to last start), and the overhead of both, round by round.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb

from perf.peers import stackbench, timed
from perf.score import samples, write

SMALL = {"object_store_memory": 80_000_000, "include_dashboard": False}
ATTEMPTS = "SELECT epoch(max(started_at) - min(started_at)), count(*) FROM attempts"


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    per_task = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    processors = max(2, os.cpu_count() or 2)
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "STACKBENCH_HOME": f"{folder}/nodes"}
        path = Path(folder) / "samples.jsonl"
        rows = samples()
        write(path, [row for number in range(per_task) for row in rows[164 * (number % 10) : 164 * (number % 10 + 1)]])
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": processors // 2, **SMALL})
        try:
            cluster.add_node(num_cpus=processors - processors // 2, **SMALL)
            whole, attempts = [], []
            for number in range(rounds):
                home = f"{folder}/home{number}"
                local = score(path, f"{home}local")
                ray = score(path, f"{home}ray", "--executor", "ray", "--address", cluster.address)
                assert local["metrics"] == ray["metrics"], (local, ray)
                whole.append(ray["whole_s"] / local["whole_s"] - 1)
                attempts.append(ray["attempts_s"] / local["attempts_s"] - 1)
                print(
                    f"round {number + 1}, load {os.getloadavg()[0]:.1f}: {164 * per_task} samples, "
                    f"local {local['whole_s']:.1f} s ({local['attempts_s']:.1f} s), "
                    f"Ray {ray['whole_s']:.1f} s ({ray['attempts_s']:.1f} s); "
                    f"overhead {whole[-1]:+.1%} ({attempts[-1]:+.1%})",
                    flush=True,
                )
        finally:
            cluster.shutdown()
    of_attempts = statistics.median(attempts)
    print(f"median overhead: {statistics.median(whole):+.1%}, of the attempts {of_attempts:+.1%} (asked: 15%)")


def score(path: Path, home: str, *options: str) -> dict[str, Any]:
    started = time.monotonic()
    done = timed(stackbench("score", str(path), "-b", "humaneval", "--json", "--home", home, *options))
    whole_s = time.monotonic() - started
    with duckdb.connect(f"{home}/stackbench.duckdb", read_only=True) as connection:
        row = connection.execute(ATTEMPTS).fetchone()
    assert row is not None
    return {"whole_s": whole_s, "attempts_s": row[0], "metrics": json.loads(done.stdout)["results"][0]["metrics"]}


if __name__ == "__main__":
    main()
