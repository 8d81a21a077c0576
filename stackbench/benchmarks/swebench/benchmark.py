"""SWE-bench: issues of real repositories, solved in their containers and graded by their tests."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from stackbench.benchmarks.base import Context, Options, PrepareContext, Sample, SampleFields
from stackbench.benchmarks.declared_metrics import MetricKind
from stackbench.benchmarks.swebench.environments import Environments, find_mirror, image_name
from stackbench.benchmarks.swebench.eval_script import EvalScript, eval_script
from stackbench.benchmarks.swebench.grading import GradingLimits, grade
from stackbench.benchmarks.swebench.instance_sources import read_rows
from stackbench.benchmarks.swebench.instances import Instance, read_instances
from stackbench.benchmarks.swebench.official import harness_version, parsers_of_repositories
from stackbench.benchmarks.swebench.patches import Refusal
from stackbench.benchmarks.swebench.retrieval import check_retrieval
from stackbench.benchmarks.swebench.scoring import attempt_metrics, image_event, scored_reason, verdict_event
from stackbench.benchmarks.swebench.similarity import same_changes
from stackbench.benchmarks.swebench.solving import Budget, Solution, solve_as_agent, solve_at_once
from stackbench.benchmarks.swebench.spec_tables import SpecTables, load_spec_tables
from stackbench.benchmarks.swebench.swe_metrics import swe_kinds, swe_metrics
from stackbench.benchmarks.swebench.verdicts import Verdict, VerdictStore
from stackbench.datasets import DatasetStore
from stackbench.errors import AttemptError, DataNotAvailableError, DockerNotAvailableError, UsageError
from stackbench.plurals import number_of
from stackbench.sandbox.recipe import DockerfileRecipe, ImageLimits, ImageRecipe, PulledImage, ReadyImage
from stackbench.types import AttemptSummary, Metric, Scored, Task

__all__ = ["SweBench", "SweBenchOptions"]

DEFAULT_TEMPLATE = "swebench/sweb.eval.x86_64.{id}"
GIB = 1 << 30
REPOSITORIES_TRIED = 2


class SweBenchOptions(Options):
    """Options of `swebench`."""

    dataset: str | None = None
    """lite, verified, full, multilingual, live, pro, or a .jsonl, .json or .parquet file; unset: `instances` of
    STACKBENCH_DATA's folder swebench, else verified."""
    task_repo: Path | None = None
    """A folder of tasks in the layout of swebench 5, in place of a data set."""
    repos: tuple[str, ...] = ()
    """Only these repositories (`owner/name`)."""
    versions: tuple[str, ...] = ()
    """Only these versions."""
    mode: Literal["agent", "oneshot"] = "agent"
    """A model works with tools in the instance's container, or answers once with a patch."""
    retrieval: Literal["bm25", "oracle"] = "bm25"
    """Which files oneshot shows: those that BM25 finds, or those that the reference patch changes."""
    context_characters: int = Field(default=60_000, ge=1000)
    """How much of files oneshot shows."""
    hints: bool = False
    """Also show what was said under the issue before it was solved."""
    max_steps: int = Field(default=50, ge=1)
    """Turns of an agent."""
    max_total_tokens: int | None = Field(default=None, ge=1)
    """Tokens of all of an agent's prompts and answers."""
    max_seconds: float = Field(default=1800.0, gt=0)
    """Of an agent's work."""
    checkpoint_steps: int = Field(default=10, ge=0)
    """Turns after which an agent's chat and files are kept, for a run that is killed to go on from; 0: never."""
    images: Literal["auto", "pull", "build"] = "auto"
    """Where images come from: auto pulls them, or builds them where repo_mirror is set or one cannot be pulled."""
    image_template: str = DEFAULT_TEMPLATE
    """The registry's name of an image; {id} is the instance's, in lower case and with `__` as `_1776_`."""
    repo_mirror: Path | None = None
    """A folder of bare git folders (`owner__name.git`) that images are built from."""
    any_python: bool = False
    """Build with the nearest Python where the specification's cannot be had."""
    cache_gb: float = Field(default=100.0, gt=0)
    """What images may take on the disk, in GiB; the least recently used ones are removed."""
    validate_gold: bool = False
    """Grade each instance's reference patch first."""
    test_timeout: float = Field(default=1800.0, gt=0)
    """Seconds for an instance's tests."""
    grading_memory_mib: int = Field(default=4096, ge=256)
    """Memory of a container, written files included."""
    grading_disk_mib: int = Field(default=4096, ge=16)
    """What may be written in a container, up to a fifth of its memory."""

    @field_validator("image_template")
    @classmethod
    def _names_the_instance(cls, template: str) -> str:
        try:
            named = template.format(id="x")
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError("write it with {id} alone in braces") from error
        if named == template:
            raise ValueError("it has no {id}, so that every instance would have the same image")
        return template


class SweBench:
    """Implements `Benchmark`, `CodeBenchmark`, `Conditional`, `HashedTasks`, `NamedTasks` and `OwnImages`."""

    name: ClassVar[str] = "swebench"
    title: ClassVar[str] = "SWE-bench: real issues in real repositories"
    datasets: ClassVar[tuple[str, ...]] = ()
    uses_sandbox: ClassVar[bool] = True
    own_images: ClassVar[bool] = True
    options_type: ClassVar[type[Options]] = SweBenchOptions
    metric_kinds: ClassVar[Sequence[MetricKind]] = swe_kinds()
    sample_fields: ClassVar[SampleFields] = SampleFields(
        task="instance_id", text="model_patch", single=True, maker="model_name_or_path"
    )

    def __init__(self, options: SweBenchOptions) -> None:
        self.options = options
        self.tasks_hash = ""
        self.task_set = ""
        self.file_hashes: Mapping[str, str] = {}
        self._tables: SpecTables | None = None
        self._cache: Path | None = None
        self._gold: dict[str, asyncio.Task[Verdict]] = {}

    def tasks(self, data: DatasetStore) -> list[Instance]:
        harness_version()
        options = self.options
        if options.repo_mirror is not None and not options.repo_mirror.is_dir():
            raise UsageError(
                f"--repo-mirror {options.repo_mirror} is no folder; name one with bare git folders (owner__name.git)"
            )
        rows = read_rows(options.dataset, options.task_repo, data)
        found = read_instances(rows.rows, rows.source)
        kept = [
            instance
            for instance in found
            if (not options.repos or instance.repo in options.repos)
            and (not options.versions or instance.version in options.versions)
        ]
        if not kept:
            known = ", ".join(sorted({instance.repo for instance in found}))
            raise UsageError(f"{rows.source} has no instance of these repositories and versions; it has {known}")
        digest = hashlib.sha256("\n".join(instance.digest for instance in kept).encode())
        self.tasks_hash = digest.hexdigest()
        self.file_hashes = rows.hashes
        self.task_set = f"{rows.source}, {len(kept)} instances"
        return kept

    async def prepare(self, tasks: Sequence[Task], context: PrepareContext) -> None:
        """Reads the tables where rows need them, and says what this run's conditions are.

        Raises:
            DataNotAvailableError: no instance can have an image: the folder of mirrors has none of the repositories, or
                the tables do not know them.
        """
        options = self.options
        self._cache = context.cache / "swebench"
        context.say(f"swebench {harness_version()}: {self.task_set}, sha256 {self.tasks_hash[:16]}")
        if options.mode == "oneshot" and options.retrieval == "bm25":
            check_retrieval()
        if any(isinstance(task, Instance) and not task.eval_script for task in tasks):
            self._tables = await asyncio.to_thread(load_spec_tables, self._cache)
        lacking = Counter(why for task in tasks if (why := self._cannot_be_built(task)))
        if lacking and lacking.total() == len(tasks):
            raise DataNotAvailableError(f"no image of these instances can be built: {'; '.join(lacking)}")
        for why, count in lacking.items():
            context.say(f"swebench: of {number_of(len(tasks), 'instance')} {count} will end in an error: {why}")
        if options.hints:
            context.say("swebench: models are shown what was said under each issue before it was solved (hints)")
        if options.any_python:
            context.say("swebench: environments may have another Python than their specification names (any_python)")

    async def unavailable(self, tasks: Sequence[Task], context: PrepareContext) -> str:
        """Where no image can be had for the first instances of two repositories, none will be for the others."""
        why = ""
        firsts: dict[str, Instance] = {}
        for task in tasks:
            if isinstance(task, Instance):
                firsts.setdefault(task.repo, task)
        for task in list(firsts.values())[:REPOSITORIES_TRIED]:
            try:
                async with self._image(task, context):
                    return ""
            except DockerNotAvailableError:
                raise
            except AttemptError as error:
                why = str(error)
        return f"no image of an instance can be had here ({why}); name a folder of mirrors with -T repo_mirror=DIR"

    async def attempt(self, task: Instance, context: Context) -> Scored:
        async with self._image(task, context) as image:
            context.log("image", image_event(image))
            solution = await self._solve(task, image, context)
            context.log("solution", {"patch": solution.patch, "refused": [_shown(one) for one in solution.refused]})
            verdict = await self._verdict(task, solution.patch, image, context)
            gold_passes = await self._gold_passes(task, image)
        return self._scored(task, solution, verdict, gold_passes)

    async def score(self, task: Instance, sample: Sample, context: Context) -> Scored:
        async with self._image(task, context) as image:
            context.log("image", image_event(image))
            verdict = await self._verdict(task, sample.text, image, context)
            gold_passes = await self._gold_passes(task, image)
        solution = Solution(sample.text, (), prompt="", answer=sample.text, steps=0, ending="")
        return self._scored(task, solution, verdict, gold_passes)

    @staticmethod
    def metric_categories(tasks: Sequence[Task]) -> set[str]:
        """Repositories."""
        return {task.category for task in tasks}

    def metrics(self, attempts: Sequence[AttemptSummary]) -> list[Metric]:
        return swe_metrics(attempts)

    # -- images

    @asynccontextmanager
    async def _image(self, task: Instance, context: Context | PrepareContext) -> AsyncGenerator[ReadyImage]:
        limits = ImageLimits(self._folder / "images", int(self.options.cache_gb * GIB))
        wanted = await asyncio.to_thread(self._wanted, task)
        async with context.image(wanted, limits) as image:
            yield image

    def _wanted(self, task: Instance) -> ImageRecipe | DockerfileRecipe | PulledImage:
        options = self.options
        folder = self._dockerfile_folder(task)
        if folder is not None:
            return DockerfileRecipe(f"task-{task.task_id.lower()}"[:100], folder)
        name = task.image if task.image and options.image_template == DEFAULT_TEMPLATE else ""
        pulled = PulledImage(name or image_name(options.image_template, task))
        if self._only_built(task):
            return self._environments.recipe(task)
        named = options.image_template != DEFAULT_TEMPLATE
        if options.images == "pull" or task.eval_script or (named and options.repo_mirror is None):
            return pulled
        with suppress(AttemptError):  # what cannot be built may be pulled all the same
            return replace(pulled, otherwise=self._environments.recipe(task))
        return pulled

    def _dockerfile_folder(self, task: Instance) -> Path | None:
        """Where the task repository has a Dockerfile for it."""
        options = self.options
        if options.task_repo is None or options.images == "pull":
            return None
        folder = options.task_repo / "tasks" / task.task_id
        return folder if (folder / "Dockerfile").is_file() else None

    def _only_built(self, task: Instance) -> bool:
        """Whether an instance without a Dockerfile has an image of our own or none."""
        options = self.options
        mirrored = options.repo_mirror is not None and options.image_template == DEFAULT_TEMPLATE
        return not task.eval_script and (options.images == "build" or (options.images == "auto" and mirrored))

    @property
    def _environments(self) -> Environments:
        assert self._tables is not None, "prepare has read the tables"
        options = self.options
        return Environments(self._tables, self._folder, options.repo_mirror, options.any_python)

    @property
    def _folder(self) -> Path:
        assert self._cache is not None, "prepare names the cache"
        return self._cache

    def _cannot_be_built(self, task: Task) -> str:
        """Why an instance that has no image but one of our own will have none; empty where nothing is known of that."""
        if not isinstance(task, Instance) or not self._only_built(task) or self._dockerfile_folder(task) is not None:
            return ""
        try:
            self._environments.spec(task)
            find_mirror(task.repo, self.options.repo_mirror)
        except AttemptError as error:
            return str(error)
        return ""

    # -- solving and grading

    async def _solve(self, task: Instance, image: ReadyImage, context: Context) -> Solution:
        options = self.options
        if options.mode == "agent":
            budget = Budget(options.max_steps, options.max_total_tokens, options.max_seconds, options.checkpoint_steps)
            return await solve_as_agent(task, image, context, budget, self._limits, hints=options.hints)
        return await solve_at_once(
            task,
            image,
            context,
            self._limits,
            hints=options.hints,
            oracle=options.retrieval == "oracle",
            most_characters=options.context_characters,
        )

    @property
    def _limits(self) -> GradingLimits:
        options = self.options
        return GradingLimits(options.test_timeout, options.grading_memory_mib, options.grading_disk_mib)

    async def _verdict(self, task: Instance, patch: str, image: ReadyImage, context: Context) -> Verdict:
        """The verdict on a patch; where it is asked for, that on the reference patch comes first."""
        if self.options.validate_gold:
            await self._gold_verdict(task, image, context)
        verdict = await self._graded(task, patch, image, context)
        context.log("grading", verdict_event(verdict))
        if verdict.kind == "environment":
            raise AttemptError(f"the environment failed: {verdict.reason.removeprefix('failed: ')}")
        return verdict

    async def _graded(self, task: Instance, patch: str, image: ReadyImage, context: Context) -> Verdict:
        script = self._script(task, patch)
        store = self._verdicts
        limits = self._limits
        recorded = limits.recorded(script.cpus)
        known = await asyncio.to_thread(store.find, task.digest, patch, image.digest, recorded)
        if known is not None:
            return known
        gold_passes = await self._gold_passes(task, image)
        verdict = await grade(task, patch, script, image, context.lease, limits, gold_passes=gold_passes)
        if verdict.kind in ("environment", "ambiguous") and gold_passes is None and patch != task.gold_patch:
            # whose failure it is shows in whether the reference patch passes in the same image
            gold = await self._gold_verdict(task, image, context)
            if gold.resolved:
                verdict = replace(verdict, kind="model")
        await asyncio.to_thread(store.keep, task.digest, patch, verdict)
        if patch != task.gold_patch and same_changes(patch, task.gold_patch):  # another way to write the reference
            await asyncio.to_thread(store.keep, task.digest, task.gold_patch, verdict)
        return verdict

    async def _gold_verdict(self, task: Instance, image: ReadyImage, context: Context) -> Verdict:
        """Once for all attempts at an instance."""
        work = self._gold.get(task.task_id)
        if work is None or (work.done() and (work.cancelled() or work.exception() is not None)):
            began = time.monotonic()
            work = self._gold[task.task_id] = asyncio.create_task(self._graded(task, task.gold_patch, image, context))
            verdict = await asyncio.shield(work)
            context.log("gold_grading", {**verdict_event(verdict), "seconds": round(time.monotonic() - began, 3)})
            return verdict
        return await asyncio.shield(work)

    async def _gold_passes(self, task: Instance, image: ReadyImage) -> bool | None:
        """Whether the reference patch passes in this image; None where it was not graded."""
        script = self._script(task, task.gold_patch)
        limits = self._limits.recorded(script.cpus)
        known = await asyncio.to_thread(self._verdicts.find, task.digest, task.gold_patch, image.digest, limits)
        return None if known is None else known.resolved

    @property
    def _verdicts(self) -> VerdictStore:
        return VerdictStore(self._folder / "verdicts", harness_version())

    def _script(self, task: Instance, patch: str) -> EvalScript:
        return eval_script(task, self._tables, parsers_of_repositories(), patch, any_python=self.options.any_python)

    def _scored(self, task: Instance, solution: Solution, verdict: Verdict, gold_passes: bool | None) -> Scored:
        metrics = attempt_metrics(task, solution, verdict, gold_passes)
        if self.options.hints:
            metrics["hints"] = True
        return Scored(
            score=float(verdict.resolved),
            passed=verdict.resolved,
            prompt=solution.prompt,
            completion=solution.answer,
            reason=scored_reason(solution, verdict, gold_passes),
            prompt_tokens=solution.prompt_tokens,
            completion_tokens=solution.completion_tokens,
            latency_s=solution.model_s,
            metrics=metrics,
            program=solution.patch,
        )


def _shown(refusal: Refusal) -> dict[str, Any]:
    return {"reason": refusal.reason, "paths": list(refusal.paths)}
