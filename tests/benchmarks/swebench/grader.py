"""Grades patches to the first small repository, without an engine around it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
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
from tests.benchmarks.swebench.small_repositories import CALC_ID, SmallRepositories

LIMITS = GradingLimits(timeout_s=120, memory_mib=512, disk_mib=64, processes=200)


@dataclass
class Grader:
    """One instance with its image."""

    instance: Instance
    image: ReadyImage
    tables: SpecTables
    sandboxes: Sandboxes

    async def verdict(self, patch: str, *, gold_passes: bool | None = None, timeout_s: float = 120) -> Verdict:
        script = eval_script(self.instance, self.tables, parsers_of_repositories(), patch, any_python=True)
        limits = replace(LIMITS, timeout_s=timeout_s)
        lease = self.sandboxes.lease
        return await grade(self.instance, patch, script, self.image, lease, limits, gold_passes=gold_passes)

    async def verdicts(self, patches: dict[str, str], *, timeout_s: float = 120) -> dict[str, Verdict]:
        """Some at once."""
        found = await asyncio.gather(*(self.verdict(patch, timeout_s=timeout_s) for patch in patches.values()))
        return dict(zip(patches, found, strict=True))


@asynccontextmanager
async def made_grader(cache: Path, small: SmallRepositories) -> AsyncIterator[Grader]:
    tables = await asyncio.to_thread(load_spec_tables, cache)
    (instance,) = read_instances([small.rows[CALC_ID]], "x")
    recipe = Environments(tables, cache, small.mirrors, any_python=True).recipe(instance)
    said: list[str] = []
    store = ImageStore(ImageLimits(cache / "images", 100 << 30), said.append)
    image = await asyncio.to_thread(store.ready, recipe)
    sandboxes = Sandboxes(SandboxSettings(sandboxes=4), "tests", said.append)
    try:
        yield Grader(instance, image, tables, sandboxes)
    finally:
        await sandboxes.close()
