"""Sends results to the model's repository on the Hugging Face hub, as a pull request. Needs huggingface-hub."""

# huggingface_hub has partial types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
from __future__ import annotations

import os
from pathlib import Path

from stackbench.errors import StackbenchError, UsageError, one_line
from stackbench.publish.huggingface import EVAL_RESULTS
from stackbench.publish.publication import Publication

__all__ = ["TOKEN", "check_upload", "upload_results"]

TOKEN = "HF_TOKEN"


def check_upload() -> str:
    """The token. Raises UsageError where the environment has none."""
    token = os.environ.get(TOKEN, "").strip()
    if not token:
        raise UsageError(
            f"--upload needs a token of the Hugging Face hub in the environment variable {TOKEN}; nothing was sent"
        )
    return token


def upload_results(publication: Publication, package: Path, token: str) -> str:
    """Opens a pull request with the files of `.eval_results` and returns its address.

    Raises:
        UsageError: the package has no such file.
        StackbenchError: the hub refused or could not be reached.
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError

    files = sorted((package / EVAL_RESULTS).glob("*.yaml"))
    if not files:
        raise UsageError(
            f"nothing was sent: no score can stand on the hub ({package / 'huggingface' / 'LEFT_OUT.md'} says why)"
        )
    operations = [CommitOperationAdd(f".eval_results/{path.name}", str(path)) for path in files]
    try:
        made = HfApi(token=token).create_commit(
            publication.model_id,
            operations,
            commit_message=f"Add evaluation results: {', '.join(path.stem for path in files)}",
            commit_description=f"Measured with stackbench {publication.results.stackbench}.",
            create_pr=True,
        )
    except (HfHubHTTPError, OSError, ValueError, KeyError) as error:
        raise StackbenchError(
            f"the hub did not take the results of {publication.model_id}: {one_line(error)}"
        ) from error
    return str(made.pr_url)
