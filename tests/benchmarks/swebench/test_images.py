"""Recipes of images, and the store that builds, shares and removes them."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stackbench.benchmarks.swebench.environments import Environments, find_mirror, image_name
from stackbench.benchmarks.swebench.install_requirements import conda_lines, from_conda, loosened, requirement_lines
from stackbench.benchmarks.swebench.instances import read_instances
from stackbench.benchmarks.swebench.spec_tables import load_spec_tables
from stackbench.errors import AttemptError, SandboxError, UsageError
from stackbench.sandbox.docker import connect
from stackbench.sandbox.image_store import ImageStore
from stackbench.sandbox.pulling import pull_patiently
from stackbench.sandbox.recipe import DockerfileRecipe, ImageLimits, ImageRecipe, PulledImage, PythonBase
from tests.benchmarks.swebench.conftest import Runs
from tests.benchmarks.swebench.grader import Grader
from tests.benchmarks.swebench.small_repositories import CALC_ID, WORDS_ID, SmallRepositories
from tests.waiting import until

docker = pytest.mark.docker
BASE = PythonBase("3.11", any_python=True)


def layer(name: str, script: str, parent: ImageRecipe | PythonBase = BASE) -> ImageRecipe:
    return ImageRecipe(f"test-{name}", parent, script)


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(ImageLimits(tmp_path, 1 << 40), lambda line: None)


@pytest.fixture
def endless_log(tmp_path: Path) -> Path:
    return tmp_path / "builds" / "test-endless.log"


def remove(*recipes: ImageRecipe | DockerfileRecipe) -> None:
    with closing(connect()) as client:
        for recipe in recipes:
            client.images.remove(recipe.tag, force=True)


@pytest.mark.xdist_group("swebench")
@docker
async def test_a_layer_is_built_once_for_all_who_ask(store: ImageStore, image: str) -> None:
    recipe = layer("shared", "date +%s%N > /made\necho 'stackbench: made for a test'")
    try:
        found = await asyncio.gather(*(asyncio.to_thread(store.ready, recipe) for _ in range(4)))
        assert len({ready.digest for ready in found}) == 1
        assert sum(ready.built for ready in found) == 1
        assert found[0].notes == ("made for a test",)
        again = store.ready(recipe)
        assert (again.built, again.notes, again.digest) == (False, found[0].notes, found[0].digest)
    finally:
        remove(recipe)


@pytest.mark.xdist_group("swebench")
@docker
def test_a_failed_build_names_its_log_and_says_that_the_disk_is_full(store: ImageStore, image: str) -> None:
    with pytest.raises(SandboxError, match=r"the build of test-full failed: .*No space left on device.*log: /.*\.log"):
        store.ready(layer("full", "set -x\ndd if=/dev/zero of=/dev/full bs=1 count=1"))
    with pytest.raises(SandboxError, match="took longer than 1 s"):
        store.ready(ImageRecipe("test-slow", BASE, "sleep 60", timeout_s=1))


@pytest.mark.xdist_group("swebench")
@docker
async def test_a_build_ends_with_the_run_and_nothing_of_its_settings_is_kept(
    store: ImageStore, image: str, endless_log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret-word@localhost:1/simple")
    quick = layer("settings", 'test "$PIP_INDEX_URL" = "http://user:secret-word@localhost:1/simple"')
    made = store.ready(quick)
    with closing(connect()) as client:
        assert "secret-word" not in json.dumps(client.images.get(made.name).attrs)
        listed = client.containers.run(made.name, ["ls", "-a", "/"], remove=True, network_disabled=True)
        assert b".stackbench-build" not in listed
    remove(quick)
    slow = asyncio.create_task(asyncio.to_thread(store.ready, layer("endless", "echo begun\nsleep 1000")))
    await until(lambda: endless_log.is_file() and "begun" in endless_log.read_text())
    store.close()
    with pytest.raises(SandboxError, match="the build of test-endless failed"):
        await asyncio.wait_for(slow, 60)
    with pytest.raises(SandboxError, match="the run has ended, and builds nothing more"):
        store.ready(layer("late", "true"))


@pytest.mark.xdist_group("swebench")
@docker
def test_images_that_nobody_works_with_go_when_there_are_too_many(tmp_path: Path, image: str) -> None:
    store = ImageStore(ImageLimits(tmp_path, 7 << 20), lambda line: None)
    old, new = (layer(name, f"dd if=/dev/urandom of=/{name} bs=1M count=4") for name in ("old", "new"))
    first = store.ready(old)
    second = store.ready(new)  # both are in use
    assert store.bytes > 7 << 20
    store.release(first.name)
    store.release(second.name)
    third = store.ready(new)
    assert store.bytes < 7 << 20
    with closing(connect()) as client:
        tags = {tag for found in client.images.list() for tag in found.tags}
    assert third.name in tags and first.name not in tags
    remove(new)


@pytest.mark.xdist_group("swebench")
@docker
def test_a_dockerfile_is_built_in_its_folder(store: ImageStore, tmp_path: Path, image: str) -> None:
    folder = tmp_path / "task"
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM {image}\nCOPY hello /hello\n")
    (folder / "hello").write_text("hi")
    recipe = DockerfileRecipe("test-dockerfile", folder)
    try:
        assert store.ready(recipe).built
        before = recipe.tag
        (folder / "hello").write_text("other")
        assert DockerfileRecipe("test-dockerfile", folder).tag != before
        (folder / "Dockerfile").write_text(f"FROM {image}\nRUN exit 3\n")
        with pytest.raises(SandboxError, match=r"could not be built.*log: "):
            store.ready(DockerfileRecipe("test-dockerfile", folder))
    finally:
        (folder / "Dockerfile").write_text(f"FROM {image}\nCOPY hello /hello\n")
        (folder / "hello").write_text("hi")
        remove(DockerfileRecipe("test-dockerfile", folder))


@pytest.mark.xdist_group("swebench")
@docker
def test_an_image_that_cannot_be_pulled_is_built_where_there_is_a_recipe(store: ImageStore, image: str) -> None:
    name = "localhost:1/no/such:image"
    with pytest.raises(SandboxError, match="is not there and cannot be pulled"):
        store.ready(PulledImage(name))
    recipe = layer("otherwise", "true")
    try:
        assert store.ready(PulledImage(name, otherwise=recipe)).name == recipe.tag
    finally:
        remove(recipe)


def test_a_registry_that_had_too_many_requests_is_asked_again_later() -> None:
    from docker.errors import APIError

    said: list[str] = []
    pauses: list[float] = []

    class Images:
        left = 2

        def pull(self, name: str) -> None:
            if self.left:
                self.left -= 1
                raise APIError("toomanyrequests: You have reached your pull rate limit")

    class Client:
        images = Images()

    client: Any = Client()
    pull_patiently(client, "some/image", said.append, pauses.append)
    assert pauses == [15, 30] and "again in 15 s" in said[1]


def test_mirrors_are_found_by_each_of_their_names(tmp_path: Path) -> None:
    for name in ("o__r.git", "a/b.git", "c"):
        (tmp_path / name / "objects").mkdir(parents=True)
    assert find_mirror("o/r", tmp_path).endswith("o__r.git")
    assert find_mirror("a/b", tmp_path).endswith("a/b.git")
    assert find_mirror("x/c", tmp_path).endswith("/c")
    assert find_mirror("o/r", None).endswith("/o/r.git")
    with pytest.raises(AttemptError, match="has no git folder of no/such; make one: git clone --mirror"):
        find_mirror("no/such", tmp_path)


def test_the_templates_name_images_as_registries_do() -> None:
    (row,) = read_instances([json.loads(ROW)], "x")
    assert image_name("swebench/sweb.eval.x86_64.{id}", row) == "swebench/sweb.eval.x86_64.o_1776_r-1"


ROW = json.dumps(
    {
        "repo": "o/r", "instance_id": "O__r-1", "base_commit": "a" * 40, "patch": "", "test_patch": "x",
        "problem_statement": "", "version": "1", "FAIL_TO_PASS": ["t"], "PASS_TO_PASS": [],
    }
)  # fmt: skip


def test_conda_and_pip_requirements_are_read(tmp_path: Path) -> None:
    assert [from_conda(word) for word in ("numpy=1.19", "scipy==1.5.2", "python=3.9", "conda-forge::pytables")] == [
        "numpy==1.19.*", "scipy==1.5.2", "", "tables",
    ]  # fmt: skip
    text = "name: x\nchannels:\n  - conda-forge\ndependencies:\n  - numpy>=1.2  # why\n  - pip:\n      - sphinx==3\n"
    assert conda_lines(text) == ["numpy>=1.2", "sphinx==3"]
    (tmp_path / "more.txt").write_text("attrs\n-c limits.txt\n.\n")
    (tmp_path / "r.txt").write_text(
        "-r more.txt\n-e .[dev]\n# no\ntypes-pkg_resources==0.1.3\npylibmc; os_name == 'x'\n"
    )
    found = requirement_lines(tmp_path, tmp_path / "r.txt")
    assert found == ["attrs", "types-setuptools", "pylibmc; os_name == 'x'"]
    assert loosened("numpy==1.23.0") == "numpy~=1.23.0" and loosened("numpy>=1") == "" and loosened("x==3") == ""


def test_an_environment_is_shared_by_the_instances_of_a_version(
    data_dir: Path, tmp_path: Path, small: SmallRepositories
) -> None:
    tables = load_spec_tables(tmp_path)
    environments = Environments(tables, tmp_path, small.mirrors, any_python=True)
    row = small.rows[CALC_ID]
    later = row | {"instance_id": "marshmallow-code__marshmallow-9", "base_commit": row["environment_setup_commit"]}
    one, other = (environments.recipe(instance) for instance in read_instances([row, later], "x"))
    assert one.parent == other.parent and one.tag != other.tag
    assert isinstance(one.parent, ImageRecipe) and "repository.git" in one.parent.archives
    strict = Environments(tables, tmp_path, small.mirrors).recipe(*read_instances([row], "x"))
    assert strict.tag != one.tag
    unknown = read_instances([row | {"repo": "no/such"}], "x")[0]
    with pytest.raises(AttemptError, match="the tables of swebench do not know the repository no/such"):
        environments.recipe(unknown)
    with pytest.raises(AttemptError, match="have no version '99' of marshmallow"):
        environments.recipe(read_instances([row | {"version": "99"}], "x")[0])


@pytest.mark.xdist_group("swebench")
@docker
async def test_what_cannot_be_built_is_an_error_of_its_attempt_alone(
    runs: Runs, grader: Grader, tmp_path: Path
) -> None:
    rows = runs.small.rows
    lost = rows[CALC_ID] | {"instance_id": "marshmallow-code__marshmallow-3", "base_commit": "c" * 40}
    unknown = rows[CALC_ID] | {"instance_id": "no__such-1", "repo": "no/such"}
    outcome = await runs.make(
        runs.plan("oracle", dataset=str(runs.small.written(tmp_path, lost, unknown, rows[WORDS_ID])))
    )
    attempts = runs.attempts(outcome)
    assert attempts[WORDS_ID].passed
    assert attempts[lost["instance_id"]].status == attempts["no__such-1"].status == "error"
    assert f"has no commit {'c' * 40}" in attempts[lost["instance_id"]].reason
    assert "do not know the repository no/such" in attempts["no__such-1"].reason
    assert any("of 3 instances 1 will end in an error: the tables" in line for line in runs.said)
    assert attempts[lost["instance_id"]].error_kind == "image_build"  # no further try may end otherwise


@pytest.mark.xdist_group("swebench")
async def test_a_mirror_without_the_repositories_is_told_before_the_first_attempt(runs: Runs, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no-such-folder is no folder; name one with bare git folders"):
        await runs.make(runs.plan("null", repo_mirror=str(tmp_path / "no-such-folder")))
    outcome = await runs.make(runs.plan("null", (CALC_ID,), repo_mirror=str(tmp_path)))
    assert (outcome.status, runs.attempts(outcome)) == ("failed", {})
    assert "has no git folder of marshmallow-code/marshmallow; make one: git clone --mirror" in outcome.problem
