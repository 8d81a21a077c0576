"""A Dockerfile and a lock file that rebuild the environment of the runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import distributions

from stackbench.extras import DISTRIBUTION
from stackbench.publish.publication import Publication
from stackbench.report.results_model import section

__all__ = ["environment_files"]

PLAIN = re.compile(r"[A-Za-z0-9._-]+==[A-Za-z0-9._!-]+")
DOCKERFILE = """\
# The environment of {runs}. Build it beside requirements.lock:
#   docker build --build-arg STACKBENCH={distribution}=={version} -t stackbench-rebuilt .
# STACKBENCH may also name a wheel beside this file or a repository at commit {commit}.
# Benchmarks that execute code need the host's Docker engine: -v /var/run/docker.sock:/var/run/docker.sock
FROM python:{python}-slim-bookworm
ARG STACKBENCH={distribution}=={version}
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates docker.io git \\
    && rm -rf /var/lib/apt/lists/*
WORKDIR /work
COPY . .
RUN python -m pip install --no-cache-dir --requirement requirements.lock \\
    && python -m pip install --no-cache-dir --no-deps "$STACKBENCH"
ENV STACKBENCH_HOME=/work/home
ENTRYPOINT ["stackbench"]
"""


def environment_files(publication: Publication) -> Iterator[tuple[str, str]]:
    """Names and texts."""
    environment = publication.runs[-1].environment
    recorded = {str(k): str(v) for k, v in section(environment, "packages").items()}
    yield (
        "environment/Dockerfile",
        DOCKERFILE.format(
            runs=", ".join(run.run_id for run in publication.runs),
            python=environment.get("python", "3.11"),
            distribution=DISTRIBUTION,
            version=environment.get("stackbench", publication.results.stackbench),
            commit=publication.runs[-1].git_commit or "not recorded",
        ),
    )
    yield "environment/requirements.lock", _lock(recorded)


def _lock(recorded: dict[str, str]) -> str:
    """Every package here, in the version that the run recorded where it recorded one."""
    here = {one.metadata["Name"].lower(): one.version for one in distributions() if one.metadata["Name"]}
    here.pop(DISTRIBUTION, None)
    differing = sorted(name for name, version in recorded.items() if not _same(here.get(name), version))
    pins = {name: version.partition("+")[0] for name, version in {**here, **recorded}.items()}
    lines = [
        "# Packages of the environment that wrote this file. Versions that a run recorded stand in their place:",
        f"# {', '.join(sorted(recorded)) or 'none'}. Local versions (+cpu) are left to the index.",
    ]
    if differing:
        lines.append(f"# This environment has others than the run of: {', '.join(differing)}.")
    lines += [pin for name, version in sorted(pins.items()) if PLAIN.fullmatch(pin := f"{name}=={version}")]
    return "\n".join(lines) + "\n"


def _same(here: str | None, recorded: str) -> bool:
    return here is not None and here.partition("+")[0] == recorded.partition("+")[0]
