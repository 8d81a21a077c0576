"""`publish`: the publication package of runs of one model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stackbench.cli.console import notice, print_json, print_line
from stackbench.cli.history import opened
from stackbench.cli.report import collected
from stackbench.config import Home
from stackbench.errors import UsageError
from stackbench.publish.package import write_package
from stackbench.publish.publication import Evaluator, Publication, check_publishable, hub_id
from stackbench.publish.upload import check_upload, upload_results

__all__ = ["publish"]


def publish(
    home: Path | None,
    runs: Sequence[str],
    to: Path,
    *,
    model_id: str | None,
    authors: Sequence[str],
    evaluator: Evaluator,
    source_url: str | None,
    licence: str | None,
    upload: bool,
    as_json: bool,
) -> None:
    """Writes the package and prints its paths; sends the results only with `upload`.

    Raises:
        UsageError: what is asked for cannot be published, or a token is missing; nothing was sent.
        StackbenchError: the hub refused.
    """
    token = check_upload() if upload else ""
    results = collected(home, runs)
    model = results.runs[0].model
    named = model_id or hub_id(model)
    if named is None and not results.runs[0].harness_check:
        raise UsageError(
            f"the model {model} has no name on a hub that is known here; give --model-id ORGANISATION/NAME"
        )
    publication = Publication(results, named or model, tuple(authors), evaluator, source_url, licence)
    check_publishable(publication)
    paths: list[str] = []
    with opened(Home.find(home, to_write=False)) as queries:
        for path in write_package(publication, queries, to):
            paths.append(str(path))
            if not as_json:
                print_line(path)
    address = upload_results(publication, to, token) if upload else None
    if as_json:
        print_json({"files": paths, "sent_to": address})
    elif address is not None:
        print_line(f"sent: {address}")
    else:
        notice(f"nothing was sent; {to / 'CHECKLIST.md'} says what is left to do")
