"""Writes the publication package of runs into a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from stackbench.errors import UsageError
from stackbench.extras import install_command
from stackbench.publish.archive import SUMS, archive_name, deposit_files, sha256_sums, write_archive
from stackbench.publish.attempt_rows import attempt_rows
from stackbench.publish.datasheet import datasheet_files
from stackbench.publish.drafts import draft_files
from stackbench.publish.environment_files import environment_files
from stackbench.publish.every_eval_ever import every_eval_ever_files
from stackbench.publish.huggingface import huggingface_files
from stackbench.publish.listing_metrics import listing_files
from stackbench.publish.papers import paper_files
from stackbench.publish.publication import Publication, check_publishable
from stackbench.report.bundle import write_bundle
from stackbench.report.whole_files import whole_file, write_whole
from stackbench.report.write_report import ReportWriter
from stackbench.store import Queries

__all__ = ["write_package"]

NEEDS = ("matplotlib", "openpyxl", "typst", "huggingface_hub", "packaging")
"""Packages of the extras report and publish."""
INDEX = """\
# Publication package of {model}

Nothing of this was sent anywhere. `CHECKLIST.md` says what is done and what is left to do.

| path | for |
| --- | --- |
| `report/` | readers: PDF, HTML, Markdown, spreadsheet, plots, results.json |
| `huggingface/` | the model's repository: `.eval_results/`, model-index (older form), a section of the model card |
| `every-eval-ever/` | the Every Eval Ever datastore, schema 0.3.0 |
| `openrouter/` | a model's listing (a form of stackbench's own) |
| `github/` | a release: notes; its file is the archive |
| `archive/` | Zenodo, Figshare: metadata and the archive |
| `papers-with-code/` | archives of the closed site's format |
| `paper/`, `CITATION.cff` | papers: a LaTeX table, the citation |
| `announcements/` | drafts of a blog post and of short posts |
| `environment/` | a Dockerfile and a lock file that rebuild the environment |
| `answers/` | every answer with its seed and parameters |
| `bundle/` | verification by anyone: the runs' tables; `stackbench verify bundle/RUN` |
| `EXCLUSIONS.md` | what is in no score |
| `SHA256SUMS` | hashes of all files; `sha256sum --check SHA256SUMS` |
"""


def write_package(publication: Publication, queries: Queries, to: Path) -> Iterator[Path]:
    """Writes every file, each whole or not at all, and yields their paths.

    Raises:
        UsageError: the runs cannot be published so, the folder cannot be written or is not empty, a package is missing.
    """
    check_publishable(publication)
    _check_packages()
    _check_folder(to, publication)
    names: list[str] = []
    try:
        writer = ReportWriter(publication.results, to / "report")
        for path in writer.write():
            names.append(path.relative_to(to).as_posix())
            yield path
        for line in writer.left_out:
            raise UsageError(f"a package holds the whole report: {line}")
        for name, text in _texts(publication, queries):
            names.append(name)
            yield write_whole(to / name, text)
        for run in publication.runs:
            name = f"answers/{run.run_id}.jsonl"
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            with whole_file(to / name) as file:
                for row in attempt_rows(queries, run.run_id):
                    file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            names.append(name)
            yield to / name
        for run in publication.runs:
            for path in write_bundle(queries, run.run_id, to / "bundle" / run.run_id):
                names.append(path.relative_to(to).as_posix())
                yield path
        yield write_whole(to / SUMS, sha256_sums(to, names))
        archive = to / "archive" / archive_name(publication)
        with whole_file(archive) as file:
            write_archive(publication, to, [*names, SUMS], file)
        yield archive
    except ImportError as error:
        raise UsageError(
            f"publish needs the extras report and publish ({error.name} is missing); "
            f"run: {install_command('report,publish')}"
        ) from error
    except OSError as error:
        raise UsageError(f"the package cannot be written to {to}: {error.strerror or error}") from error


def _texts(publication: Publication, queries: Queries) -> Iterator[tuple[str, str]]:
    yield "README.md", INDEX.format(model=publication.model_id)
    yield from huggingface_files(publication)
    yield from every_eval_ever_files(publication, queries)
    yield from listing_files(publication)
    yield from draft_files(publication, archive_name(publication))
    yield from deposit_files(publication)
    yield from paper_files(publication)
    yield from environment_files(publication)
    yield from datasheet_files(publication)


def _check_packages() -> None:
    """Before anything is written: what would be left out of a report may not be missing in a package."""
    missing = [name for name in NEEDS if not _importable(name)]
    if missing:
        raise UsageError(
            f"publish needs the extras report and publish ({', '.join(missing)} missing, nothing was written); "
            f"run: {install_command('report,publish')}"
        )


def _importable(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _check_folder(to: Path, publication: Publication) -> None:
    """Files of an older package would be packed with the new ones' hashes missing."""
    if to.exists() and not to.is_dir():
        raise UsageError(f"{to} is a file; name a folder")
    if to.is_dir() and any(to.iterdir()):
        raise UsageError(f"{to} is not empty; name a new folder for the package of {publication.model_id}")
