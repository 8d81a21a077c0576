"""What is published, by whom, under which name: what every file of the package is made from."""

from __future__ import annotations

import hashlib
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import urlsplit

from stackbench.errors import UsageError
from stackbench.extras import install_command
from stackbench.models.manifest import load_manifest
from stackbench.report.results_model import BenchmarkReport, Results, RunReport

__all__ = ["Evaluator", "Publication", "check_publishable", "hub_id", "stable_uuid"]

Evaluator = Literal["first_party", "third_party", "collaborative", "other"]
MODEL_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
HUB_KINDS = ("hf", "vllm", "gguf")


@dataclass(frozen=True, slots=True)
class Publication:
    """Runs of one model, with the words that no database holds."""

    results: Results
    model_id: str
    """ORGANISATION/NAME, as the hub has it."""
    authors: tuple[str, ...]
    """`Family, Given`, or an organisation's name."""
    evaluator: Evaluator = "third_party"
    """How who publishes stands to who made the model."""
    source_url: str | None = None
    """Where the results will be found."""
    licence: str | None = None
    """Of the results: an SPDX identifier."""

    @property
    def runs(self) -> tuple[RunReport, ...]:
        return self.results.runs

    @property
    def ended_at(self) -> datetime:
        """When the last run ended."""
        last = max(run.finished_at or run.created_at for run in self.runs)
        return datetime.fromisoformat(last).replace(tzinfo=UTC)

    @property
    def version(self) -> str:
        """Names these results among others of the model: the id of the last run."""
        return max(run.run_id for run in self.runs)

    @property
    def slug(self) -> str:
        """For names of files."""
        return re.sub(r"[^A-Za-z0-9.-]+", "-", self.model_id).strip("-").lower()

    @property
    def title(self) -> str:
        return f"Benchmark results of {self.model_id}"

    @property
    def self_deployed(self) -> bool:
        """Every run had the model's weights on the evaluator's machine."""
        return all(run.model.partition(":")[0] in HUB_KINDS for run in self.runs)

    @property
    def scores(self) -> list[tuple[RunReport, BenchmarkReport]]:
        """Every benchmark of every run that has a headline."""
        return [(run, one) for run in self.runs for one in run.benchmarks if one.head is not None]


def check_publishable(publication: Publication) -> None:
    """Raises UsageError for what must not be published as a model's results."""
    for run in publication.runs:
        if run.harness_check:
            raise UsageError(
                f"run {run.run_id} is of {run.model}, a check of the harness and no model; name another run"
            )
    models = {run.model for run in publication.runs}
    if len(models) > 1:
        raise UsageError(f"the runs are of {len(models)} models ({', '.join(sorted(models))}); publish them apart")
    if not publication.scores:
        raise UsageError("the runs have no score, so there is nothing to publish")
    if not publication.authors or not all(author.strip() for author in publication.authors):
        raise UsageError('name who publishes: --author "Family, Given" or an organisation\'s name; repeatable')
    if not MODEL_ID.fullmatch(publication.model_id):
        raise UsageError(f'"{publication.model_id}" is no name of a model on a hub; give --model-id ORGANISATION/NAME')
    if publication.source_url is not None and urlsplit(publication.source_url).scheme not in ("http", "https"):
        raise UsageError(f'--source-url "{publication.source_url}" is no address that begins with http:// or https://')
    if publication.licence is not None:
        _check_licence(publication.licence)


def _check_licence(licence: str) -> None:
    try:
        from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
    except ImportError as error:
        raise UsageError(f"--licence needs the publish extra; run: {install_command('publish')}") from error
    try:
        canonicalize_license_expression(licence)
    except InvalidLicenseExpression as error:
        raise UsageError(f'--licence "{licence}" is no SPDX identifier, such as CC-BY-4.0 or Apache-2.0') from error


def hub_id(model: str) -> str | None:
    """The hub's id of a run's model, where its name or the manifest tells; None elsewhere."""
    kind, _, target = model.partition(":")
    name = target.rpartition("@http")[0] or target
    if kind in HUB_KINDS:
        entry = load_manifest().get(name)
        repositories = [source.repo for source in entry.sources if source.kind == "hub"] if entry is not None else []
        if repositories:
            return repositories[0]
    return name if MODEL_ID.fullmatch(name) else None


def stable_uuid(*parts: str) -> str:
    """A UUID of version 4's form that the same parts always give."""
    digest = hashlib.sha256("\n".join(parts).encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))
