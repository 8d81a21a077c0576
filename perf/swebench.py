"""SWE-bench's own cost: grading without the tests' time, four instances at once, images built once, their size.

Usage: python -m perf.swebench MIRRORS [INSTANCES.jsonl]    MIRRORS holds bare git folders (`--repo-mirror`). Each
instance's image is made ready, then its reference patch is graded three times alone and once beside three others, with
the verdict's cache left out. The size of all images is told per 500 instances beside Epoch AI's 30 GiB for 500.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from stackbench.benchmarks.swebench.environments import Environments
from stackbench.benchmarks.swebench.eval_script import eval_script
from stackbench.benchmarks.swebench.grading import GradingLimits, grade
from stackbench.benchmarks.swebench.instances import Instance, read_instances
from stackbench.benchmarks.swebench.official import parsers_of_repositories
from stackbench.benchmarks.swebench.spec_tables import SpecTables, load_spec_tables
from stackbench.benchmarks.swebench.verdicts import Verdict
from stackbench.config import SandboxSettings
from stackbench.sandbox.image_store import ImageStore
from stackbench.sandbox.recipe import ImageLimits, ReadyImage
from stackbench.sandbox.sandboxes import Sandboxes

OVERHEAD_S = 3.0
TIMES = 3
AT_ONCE = 4
EPOCH_GIB = 30.0
EPOCH_INSTANCES = 500
GIB = 1 << 30


async def main(mirrors: Path, instances: list[Instance]) -> None:
    with tempfile.TemporaryDirectory(prefix="stackbench-perf-") as folder:
        tables = load_spec_tables(Path(folder))
        environments = Environments(tables, Path(folder), mirrors, any_python=True)
        store = ImageStore(ImageLimits(Path(folder, "images"), 1 << 50), lambda line: print(line, file=sys.stderr))
        images = _ready(instances, environments, store, "first")
        _ready(instances, environments, store, "second")
        print(f"images of {len(instances)} instances: {store.bytes / GIB:.2f} GiB, bases and environments included")
        own = sum(image.bytes for image in images.values()) / len(images)
        print(
            f"an instance's own layer: {own / (1 << 20):.1f} MiB, for {EPOCH_INSTANCES} of them "
            f"{EPOCH_INSTANCES * own / GIB:.1f} GiB beside their environments (Epoch AI: {EPOCH_GIB:.0f} GiB in all)"
        )
        sandboxes = Sandboxes(SandboxSettings(sandboxes=AT_ONCE), "perf", lambda line: None)
        try:
            await _measure(instances, images, tables, sandboxes)
        finally:
            await sandboxes.close()


def _ready(
    instances: list[Instance], environments: Environments, store: ImageStore, which: str
) -> dict[str, ReadyImage]:
    began = time.monotonic()
    images = {one.task_id: store.ready(environments.recipe(one)) for one in instances}
    built = sum(image.built for image in images.values())
    print(f"{which} run: {built} instances built, {time.monotonic() - began:.1f} s")
    return images


async def _measure(
    instances: list[Instance], images: dict[str, ReadyImage], tables: SpecTables, sandboxes: Sandboxes
) -> None:
    async def graded(instance: Instance) -> Verdict:
        patch = instance.gold_patch
        script = eval_script(instance, tables, parsers_of_repositories(), patch, any_python=True)
        return await grade(instance, patch, script, images[instance.task_id], sandboxes.lease, GradingLimits())

    alone: dict[str, Verdict] = {}
    for instance in instances:
        verdicts = [await graded(instance) for _ in range(TIMES)]
        overheads = sorted(verdict.total_s - verdict.test_s for verdict in verdicts)
        alone[instance.task_id] = verdicts[0]
        print(
            f"{instance.task_id}: overhead {statistics.median(overheads):.2f} s (from {overheads[0]:.2f} to "
            f"{overheads[-1]:.2f}, under {OVERHEAD_S:g} asked), tests {verdicts[0].test_s:.1f} s, "
            f"resolved {verdicts[0].resolved}"
        )
    chosen = sorted(instances, key=lambda one: alone[one.task_id].test_s)[:AT_ONCE]
    began = time.monotonic()
    together = await asyncio.gather(*(graded(instance) for instance in chosen))
    spent = time.monotonic() - began
    one_by_one = sum(alone[instance.task_id].total_s for instance in chosen)
    print(
        f"{len(chosen)} at once on {os.cpu_count()} processors: {spent:.1f} s, one after the other {one_by_one:.1f} s; "
        f"resolved {sum(verdict.resolved for verdict in together)} of {len(chosen)}; the slowest took "
        f"{max(v.total_s for v in together):.1f} s"
    )


if __name__ == "__main__":
    shared = os.environ.get("STACKBENCH_DATA", "")
    named = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(shared, "swebench", "instances.jsonl")
    rows = [json.loads(line) for line in named.read_text(encoding="utf-8").splitlines()]
    asyncio.run(main(Path(sys.argv[1]), read_instances(rows, named.name)))
