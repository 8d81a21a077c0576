"""`publish` on the command line: what is refused, and that nothing is sent unasked."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from huggingface_hub import close_session

from stackbench.cli import main
from stackbench.config import Home
from tests.report.recorded_results import Part, make_home, record_run

GSM8K = Part("gsm8k", tasks=5, available=5, datasets={"gsm8k/test.jsonl": "37" * 32})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = make_home(tmp_path_factory.mktemp("home"))
    record_run(home, "20261126-090000-aaaaaa", parts=[GSM8K])
    record_run(home, "20261126-091000-bbbbbb", "oracle", [GSM8K])
    record_run(home, "20261126-092000-cccccc", "hf:other", [GSM8K])
    record_run(home, "20261126-093000-dddddd", parts=[Part(errors=12)])
    return home


class HubThatTakesCommits:
    """Answers what huggingface_hub asks to open a pull request, and keeps it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.tokens: set[str] = set()
        self.files: dict[str, str] = {}
        self.refuses = False
        self.url = ""

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/api/models/{owner}/{name}/preupload/{revision}", self._preupload)
        app.router.add_post("/api/models/{owner}/{name}/commit/{revision}", self._commit)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}"

    async def _preupload(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        self.tokens.add(request.headers.get("Authorization", ""))
        if self.refuses:
            return web.json_response({"error": "not yours"}, status=403)
        files = [
            {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
            for one in (await request.json())["files"]
        ]
        return web.json_response({"files": files})

    async def _commit(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        for line in (await request.text()).splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                self.files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"]).decode()
        made = {
            "commitUrl": f"{self.url}/test/model/commit/{40 * chr(48)}",
            "commitOid": "0" * 40,
            "pullRequestUrl": f"{self.url}/test/model/discussions/7",
        }
        return web.json_response(made)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubThatTakesCommits]:
    found = HubThatTakesCommits()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(found.start(), loop).result()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", found.url)
    monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", found.url)
    yield found
    close_session()
    asyncio.run_coroutine_threadsafe(found.runner.cleanup(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def publish(home: Home, capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    with pytest.raises(SystemExit) as left:
        main(["publish", *arguments, "--home", str(home.path)])
    stdout, stderr = capsys.readouterr()
    assert left.value.code == code, stderr
    return stdout, stderr


GIVEN = ("--author", "Doe, Jane", "--model-id", "test/model")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("20261126-0910", *GIVEN), "is of oracle, a check of the harness and no model"),
        (("20261126-0900", "20261126-0920", *GIVEN), "the runs are of 2 models"),
        (("20261126-0930", *GIVEN), "the runs have no score"),
        (("20261126-0900", "--model-id", "test/model"), "name who publishes"),
        (("20261126-0900", "--author", "A"), "the model hf:test-model has no name on a hub that is known here"),
        (("20261126-0900", "--author", "A", "--model-id", "../x"), '"../x" is no name of a model on a hub'),
        (("20261126-0900", *GIVEN, "--evaluator", "friend"), "evaluator"),
        (("20261126-0900", *GIVEN, "--author", " "), "name who publishes"),
        (("20261126-0900", *GIVEN, "--licence", "mine"), '--licence "mine" is no SPDX identifier'),
        (("20261126-0900", *GIVEN, "--source-url", "example"), '--source-url "example" is no address'),
        (("20261126-0900", *GIVEN, "--upload"), "--upload needs a token of the Hugging Face hub"),
    ],
)
def test_what_cannot_be_published_is_one_line_and_nothing_is_written(
    home: Home,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    stdout, stderr = publish(home, capsys, *arguments, "--to", str(tmp_path / "out"), code=2)
    assert said in stderr and stderr.count("\n") == 1 and stdout == ""
    assert not (tmp_path / "out").exists()


def test_a_missing_extra_is_told_before_anything_is_written(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)
    _, stderr = publish(home, capsys, "20261126-0900", *GIVEN, "--to", str(tmp_path / "out"), code=2)
    assert "publish needs the extras report and publish (typst missing, nothing was written)" in stderr
    assert not (tmp_path / "out").exists()


def test_nothing_is_sent_unasked_and_a_used_folder_is_refused(
    home: Home,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    hub: HubThatTakesCommits,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    stdout, stderr = publish(home, capsys, "20261126-0900", *GIVEN, "--to", str(tmp_path / "out"))
    assert hub.asked == [] and "nothing was sent" in stderr
    assert all(Path(line).is_file() for line in stdout.splitlines())
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file() and b"hf_secret" in path.read_bytes()]
    _, stderr = publish(home, capsys, "20261126-0900", *GIVEN, "--to", str(tmp_path / "out"), code=2)
    assert "is not empty; name a new folder" in stderr


def test_upload_opens_a_pull_request_with_the_results(
    home: Home,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    hub: HubThatTakesCommits,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    to = tmp_path / "out"
    stdout, _ = publish(home, capsys, "20261126-0900", *GIVEN, "--to", str(to), "--upload", "--json")
    assert json.loads(stdout)["sent_to"] == f"{hub.url}/test/model/discussions/7"
    assert hub.tokens == {"Bearer hf_secret"} and "create_pr=1" in hub.asked[-1]
    assert hub.files == {".eval_results/gsm8k.yaml": (to / "huggingface/.eval_results/gsm8k.yaml").read_text()}
    hub.refuses = True
    _, stderr = publish(home, capsys, "20261126-0900", *GIVEN, "--to", str(tmp_path / "b"), "--upload", code=3)
    assert "the hub did not take the results of test/model" in stderr and "hf_secret" not in stderr
