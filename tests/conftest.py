"""What tests share: the real data, a folder of one's own, a warm sandbox pool, a server that speaks OpenAI's API."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from platformdirs import user_data_path

from stackbench.config import Home, user_cache
from stackbench.datasets import DatasetStore
from stackbench.errors import StackbenchError
from stackbench.models import ModelOptions
from stackbench.models.openai import OpenAIModel, retrying
from stackbench.models.openmp import limit_spinning
from stackbench.models.pull import is_pulled
from stackbench.sandbox.hygiene import list_containers
from stackbench.sandbox.image import ensure_image
from stackbench.sandbox.pool import SandboxPool
from stackbench.sandbox.scorer import Scorer
from stackbench.sandbox.spec import SandboxSpec
from tests.fake_endpoint import FakeEndpoint

Connect = Callable[..., Awaitable[OpenAIModel]]
OWN_MODELS = user_data_path("stackbench", appauthor=False) / "models"
MODELS = OWN_MODELS if OWN_MODELS.is_dir() else user_cache() / "models"
SMALL_MODEL = "smollm2-135m-instruct"

limit_spinning()  # before a test imports PyTorch


@pytest.fixture(scope="session")
def data_dir() -> Path:
    named = os.environ.get("STACKBENCH_DATA")
    if not named:
        pytest.skip("needs the real datasets: set STACKBENCH_DATA to a folder laid out as <benchmark>/<file>")
    return Path(named).absolute()


@pytest.fixture(scope="session")
def data(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> DatasetStore:
    return DatasetStore(tmp_path_factory.mktemp("data"), data_dir)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing that a test fetches gets into the user's cache."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("STACKBENCH_CACHE", str(folder))
    return folder


@pytest.fixture
def home(tmp_path: Path, data_dir: Path) -> Home:
    """A folder of the test's own; models come from this user's folder, which outlives test runs."""
    path = tmp_path / "home"
    path.mkdir()
    (path / "models").symlink_to(MODELS)
    return Home(path, data_dir)


@pytest.fixture(scope="session")
def small_model() -> str:
    from stackbench.models.pull import pull

    pytest.importorskip("torch", reason="needs the local extra")
    if not is_pulled(SMALL_MODEL, MODELS):
        MODELS.mkdir(parents=True, exist_ok=True)
        try:
            pull(SMALL_MODEL, MODELS, lambda line: None)
        except StackbenchError as error:
            pytest.skip(f"the small model cannot be had: {error}")
    return SMALL_MODEL


@pytest.fixture(scope="session")
def whisper_weights() -> Callable[[str], Path]:
    """The folder of a recogniser's real weights, by name; fetched into this user's cache, which outlives test runs."""
    from stackbench.voice.weights import find_weights
    from stackbench.voice.weights_fetch import pull_weights

    pytest.importorskip("faster_whisper", reason="needs the voice extra")
    folder = user_cache() / "models"

    def find(name: str) -> Path:
        try:
            pull_weights(name, folder, lambda line: None)
        except StackbenchError as error:
            pytest.skip(f"{name} cannot be had: {error}")
        return find_weights(name, folder)

    return find


@pytest.fixture(scope="session")
def image() -> str:
    return ensure_image(lambda line: None)


@pytest.fixture(scope="session")
async def sandbox(image: str) -> AsyncIterator[Scorer]:
    spec = SandboxSpec(image, labels={"stackbench.run": f"tests-{os.getpid()}"})
    scorer = Scorer(SandboxPool(spec, size=1, prepare=True))
    await scorer.warm_up()
    yield scorer
    await scorer.close()


@pytest.fixture(scope="module")
async def pool(image: str) -> AsyncIterator[SandboxPool]:
    """Containers for tools: one out at a time, the next one warm."""
    pool = SandboxPool(SandboxSpec(image), size=1, spare=1)
    yield pool
    await pool.close()


@pytest.fixture
async def connect(endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Connect]:
    """Makes a started model of the endpoint, with options; what it tells the operator goes to `said`."""
    monkeypatch.setattr(retrying, "FIRST_BACKOFF_S", 0.01)
    models: list[OpenAIModel] = []

    async def make(*, said: list[str] | None = None, **options: Any) -> OpenAIModel:
        model = OpenAIModel(endpoint.name, endpoint.model, endpoint.url, ModelOptions(**options))
        models.append(model)
        await model.start((said if said is not None else []).append)
        return model

    yield make
    for model in models:
        await model.close()


@pytest.fixture
async def endpoint() -> AsyncIterator[FakeEndpoint]:
    server = FakeEndpoint()
    await server.start()
    yield server
    await server.stop()


@dataclass(frozen=True)
class Program:
    """The real program in a process of its own."""

    home: Home

    @property
    def environment(self) -> dict[str, str]:
        mine = {"STACKBENCH_HOME": str(self.home.path), "STACKBENCH_DATA": str(self.home.data_extra)}
        return {**os.environ, **mine, "XDG_CONFIG_HOME": str(self.home.path / "config")}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "stackbench", *arguments]

    def run(
        self, *arguments: str, timeout: float = 300, cwd: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=cwd or self.home.path,
            env=self.environment | environment,
            check=False,
        )

    async def run_beside(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs while a server of this test answers on the event loop."""
        return await asyncio.to_thread(self.run, *arguments, **environment)

    def json(self, *arguments: str, code: int = 0, timeout: float = 300, **environment: str) -> Any:
        done = self.run(*arguments, "--json", timeout=timeout, **environment)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.home.path,
            env=self.environment | environment,
        )

    def query(self, sql: str) -> list[dict[str, Any]]:
        done = self.run("query", sql, "--format", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def program(home: Home) -> Program:
    return Program(home)


@pytest.fixture
def containers_of() -> Iterator[Any]:
    """The sandbox containers whose owner is a given process."""
    yield lambda pid: [c for c in list_containers() if c.owner.endswith(f":{pid}")]
