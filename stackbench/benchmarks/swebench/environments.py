"""How an instance's image is made: a base with Python, the environment of a repository's version, the instance."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from stackbench.benchmarks.swebench.instances import Instance
from stackbench.benchmarks.swebench.spec_tables import SpecTables
from stackbench.errors import AttemptError
from stackbench.fetch import FetchError, download_distribution
from stackbench.fetch_lock import fetch_lock
from stackbench.sandbox.recipe import ArchiveSource, ImageRecipe, PythonBase

__all__ = ["REPOSITORY", "Environments", "find_mirror", "image_name"]

REPOSITORY = "/testbed"
"""Where every image has the repository, those of swebench included."""
PIP = ("pip", "26.3")
PACKAGES_BEFORE = "2025-09-12"
"""Packages are taken as they were when the tables (swebench 4.1.0) were published: open requirements fitted then."""
SOURCE_HOST = "https://github.com"
COMPILED = re.compile(r"\b(cython|numpy|scipy|build_ext|extension)", re.IGNORECASE)
COMPILERS = "build-essential python3-dev pkg-config"
SYSTEM_TOOLS = """export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install -y --no-install-recommends {packages}
rm -rf /var/lib/apt/lists/*
"""
BASE_SCRIPT = """
python3 -m venv --without-pip /opt/testbed
python=/opt/testbed/bin/python
{tools}
$python "$BUILD_FILES/{pip}/pip" install --no-input --progress-bar off "$BUILD_FILES/{pip}"
{before}
$python -m pip install --no-input --progress-bar off setuptools wheel
mkdir -p /opt/miniconda3/bin /opt/tmp
chmod 1777 /opt/tmp
cp "$BUILD_FILES/activate" /opt/miniconda3/bin/activate
{writable}
"""
# The scripts of swebench activate conda's environment `testbed`; here it is a virtual environment.
ACTIVATE = """conda() { :; }
export CONDA_DEFAULT_ENV=testbed VIRTUAL_ENV=/opt/testbed
case ":$PATH:" in *:/opt/testbed/bin:*) ;; *) export PATH="/opt/testbed/bin:$PATH" ;; esac
"""
WRITABLE = "find /opt/testbed ! -type l ! -perm -o+w -exec chmod a+rwX {} +"
"""Whoever works in the container may install there: what is written goes with the container."""
BEFORE = f"""export PIP_UPLOADED_PRIOR_TO={PACKAGES_BEFORE}
export PIP_CONFIG_SETTINGS=editable_mode=compat"""
"""Packages of that day; and an installation that puts the repository on Python's path, as older setuptools did: some
projects' tests look for it there."""
ENVIRONMENT_SCRIPT = """
source /opt/miniconda3/bin/activate
{before}
git config --system --add safe.directory '*'
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=advice.detachedHead GIT_CONFIG_VALUE_0=false
mkdir {root}
cp -r "$BUILD_FILES/repository.git" {root}/.git
cd {root}
git config core.bare false
git config core.logAllRefUpdates false
git config core.checkStat minimal
git config core.trustctime false
git checkout --quiet --force --detach {commit}
python "$BUILD_FILES/install_requirements.py" "$BUILD_FILES/plan.json"
{pre_install}
{install}
rm -rf /root/.cache
{writable}
"""
INSTANCE_SCRIPT = """
source /opt/miniconda3/bin/activate
{before}
cd {root}
cp -r "$BUILD_FILES/base.git/objects/." .git/objects/
sort -u -o .git/shallow .git/shallow "$BUILD_FILES/base.git/shallow"
git checkout --quiet --force --detach {commit}
git clean -ffdxq
{pre_install}
{install}
if ! git diff --quiet; then git -c user.name=SWE-bench -c user.email=setup@swebench.config commit -qam SWE-bench; fi
find . -name __pycache__ -type d -prune -exec rm -rf {{}} +
rm -rf /root/.cache
{writable}
"""


@dataclass(frozen=True, slots=True)
class Environments:
    """Makes recipes from the tables; `cache` keeps what is downloaded for them."""

    tables: SpecTables
    cache: Path
    mirrors: Path | None = None
    any_python: bool = False

    def recipe(self, instance: Instance) -> ImageRecipe:
        """The instance's image.

        Raises:
            AttemptError: the tables do not have its repository or version, it is no Python project, or the folder of
                mirrors does not have it.
        """
        spec = self.spec(instance)
        environment = self._environment(instance, spec)
        mirror = find_mirror(instance.repo, self.mirrors)
        steps = {"pre_install": _lines(spec.get("pre_install"), system=False), "install": _install(spec)}
        return ImageRecipe(
            name=f"instance-{instance.task_id.lower()}"[:100],
            parent=environment,
            script=_versioned(instance)
            + INSTANCE_SCRIPT.format(
                root=REPOSITORY, commit=instance.base_commit, before=BEFORE, writable=WRITABLE, **steps
            ),
            archives={"base.git": ArchiveSource(mirror, (instance.base_commit,), (instance.environment_commit,))},
        )

    def spec(self, instance: Instance) -> Mapping[str, Any]:
        """The tables' entry for an instance. Raises AttemptError as `recipe`."""
        if instance.repo not in self.tables.specs:
            raise AttemptError(
                f"the tables of swebench do not know the repository {instance.repo} (instance {instance.task_id}); "
                "name an image with --image-template, or give a --task-repo"
            )
        spec = self.tables.spec(instance.repo, instance.version)
        if spec is None:
            raise AttemptError(
                f"the tables of swebench have no version {instance.version!r} of {instance.repo} "
                f"(instance {instance.task_id}); name an image with --image-template, or give a --task-repo"
            )
        if self.tables.languages.get(instance.repo) != "py":
            raise AttemptError(
                f"{instance.repo} is no Python project, and images are built here for those alone; "
                "name one with --image-template"
            )
        return spec

    def _environment(self, instance: Instance, spec: Mapping[str, Any]) -> ImageRecipe:
        """Shared by the instances of one repository and version."""
        plan = {
            "root": REPOSITORY,
            "packages": spec.get("packages"),
            "pip_packages": spec.get("pip_packages"),
            "requirement_paths": self.tables.requirement_paths.get(instance.repo, ()),
            "environment_paths": self.tables.environment_paths.get(instance.repo, ()),
            "relax": self.any_python,
        }
        program = resources.files("stackbench.benchmarks.swebench").joinpath("install_requirements.py").read_bytes()
        steps = {"pre_install": _lines(spec.get("pre_install"), system=True), "install": _install(spec)}
        name = instance.repo.replace("/", "__").lower()
        commit = instance.environment_commit
        return ImageRecipe(
            name=f"environment-{name}-{re.sub(r'[^a-z0-9.]', '', instance.version.lower())}",
            parent=self._base(spec),
            script=_versioned(instance)
            + ENVIRONMENT_SCRIPT.format(root=REPOSITORY, commit=commit, before=BEFORE, writable=WRITABLE, **steps),
            files={"plan.json": json.dumps(plan, sort_keys=True).encode(), "install_requirements.py": program},
            archives={"repository.git": ArchiveSource(find_mirror(instance.repo, self.mirrors), (commit,))},
        )

    def _base(self, spec: Mapping[str, Any]) -> ImageRecipe:
        try:
            with fetch_lock(self.cache, "pip"):  # instances ask for it at once
                wheel = download_distribution(*PIP, self.cache / "wheels")
        except FetchError as error:
            raise AttemptError(f"an image's environment begins with pip, and {error}") from error
        python = str(spec["python"])
        compiled = bool(COMPILED.search(json.dumps(dict(spec))))
        tools = SYSTEM_TOOLS.format(packages=f"patch {COMPILERS}" if compiled else "patch")
        return ImageRecipe(
            name=f"base-py{python}{'-compilers' if compiled else ''}",
            parent=PythonBase(python, self.any_python),
            script=BASE_SCRIPT.format(
                pip=wheel.name, before=BEFORE, writable=WRITABLE, tools=tools if compiled else f"( {tools} ) || true"
            ),
            files={wheel.name: wheel.read_bytes(), "activate": ACTIVATE.encode()},
        )


def find_mirror(repo: str, mirrors: Path | None) -> str:
    """The bare git folder of a repository in a folder of mirrors; without one, where it lies on the network.

    Raises:
        AttemptError: the folder has none of the names `owner/name`, `owner__name` or `name`, with or without `.git`.
    """
    if mirrors is None:
        return f"{SOURCE_HOST}/{repo}.git"
    owner, _, name = repo.partition("/")
    for stem in (f"{owner}/{name}", f"{owner}__{name}", name):
        for path in (mirrors / f"{stem}.git", mirrors / stem):
            if (path / "objects").is_dir():
                return str(path)
            if (path / ".git" / "objects").is_dir():
                return str(path / ".git")
    raise AttemptError(
        f"{mirrors} has no git folder of {repo}; make one: git clone --mirror URL {mirrors}/{owner}__{name}.git"
    )


def image_name(template: str, instance: Instance) -> str:
    """The registry's name of an instance's image: `{id}` in lower case, `__` written as `_1776_`."""
    return template.format(id=instance.task_id.lower().replace("__", "_1776_"))


def _versioned(instance: Instance) -> str:
    """A shallow repository has no tags, which setuptools-scm takes the version from."""
    version = re.search(r"\d+(\.\d+)*", instance.version)
    pretended = version[0] if version else "0"
    return f"export SETUPTOOLS_SCM_PRETEND_VERSION={shlex.quote(pretended)}\n"


def _install(spec: Mapping[str, Any]) -> str:
    return str(spec.get("install") or "")


def _lines(commands: Any, *, system: bool) -> str:
    """Commands before the installation; without `system`, those that install system packages are left out."""
    listed = [commands] if isinstance(commands, str) else list(commands or ())
    return "\n".join(str(one) for one in listed if system or "apt-get" not in str(one))
