"""An attempt's requests are rebuilt from the database alone, and sent again with the same result."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stackbench.models.pull import is_pulled
from tests.conftest import MODELS, Program
from tests.fake_endpoint import FakeEndpoint
from tests.models.tiny_model import make_tiny_model

pytestmark = pytest.mark.e2e

EMBEDDED = "qwen2.5-coder-0.5b-instruct"
TASK = "gsm8k/0"
ASKED = ("--system-prompt", "Be brief.", "-T", "fewshot_as_turns=true", "-T", "shots=2", "--max-tokens", "24")


def requests_of(program: Program, run_id: str) -> list[dict[str, Any]]:
    done = program.run("show", run_id, TASK, "--request")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check_resent(program: Program, model: str) -> None:
    run = program.json("eval", "gsm8k", "--sample-ids", f"{TASK},gsm8k/1", "-m", model, "--dtype", "float32", *ASKED)
    (asked,) = requests_of(program, run["run_id"])
    assert [turn["role"] for turn in asked["request"]["messages"]] == ["system", *["user", "assistant"] * 2, "user"]
    assert asked["request"]["messages"][0]["content"] == "Be brief."
    assert asked["request"]["sampling"]["max_tokens"] == asked["sent"]["max_tokens"] == 24
    (again,) = program.json("resend", run["run_id"], TASK)
    assert (again["same"], again["differences"], again["error"]) == (True, [], None)
    assert again["request"] == asked["request"]
    (row,) = program.query(f"SELECT completion FROM attempts WHERE task_id = '{TASK}'")
    assert row["completion"] == again["recorded"]["text"] == again["answer"]["text"] != ""
    assert program.run("resend", "last", f"gsm8k/{TASK}", "--call", "1").returncode == 0
    (run_row,) = program.query(
        "SELECT t.text, environment ->> '$.stackbench' AS version, git_commit, environment ->> '$.source_sha256' AS "
        "source, environment ->> '$.model.sha256' AS files, datasets FROM runs r JOIN run_benchmarks USING (run_id) "
        "JOIN texts t ON t.sha256 = environment ->> '$.model.chat_template'"
    )
    assert "message" in run_row["text"] or "m.content" in run_row["text"]
    assert run_row["version"] and (run_row["git_commit"] or run_row["source"]) and len(run_row["files"]) == 64


def test_a_tiny_models_requests_are_sent_again(program: Program, tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="needs the local extra")
    check_resent(program, f"hf:{make_tiny_model(tmp_path / 'tiny')}")


@pytest.mark.model
@pytest.mark.xdist_group("model")
def test_the_embedded_models_requests_are_sent_again(program: Program) -> None:
    pytest.importorskip("transformers", reason="needs the local extra")
    if not is_pulled(EMBEDDED, MODELS):
        pytest.skip("the embedded model is not on this machine")
    check_resent(program, f"hf:{EMBEDDED}")


async def test_an_endpoint_gets_the_same_bytes_again(program: Program, endpoint: FakeEndpoint) -> None:
    endpoint.reply = lambda body: f"#### {body['seed'] % 100}"
    evaluated = await program.run_beside(
        "eval", "gsm8k", "--sample-ids", TASK, "-n", "3", "--temperature", "0.8", "--concurrency", "1", "--json",
        "-m", endpoint.name, *ASKED,
    )  # fmt: skip
    assert evaluated.returncode == 0, evaluated.stderr
    run_id = json.loads(evaluated.stdout)["run_id"]
    first, endpoint.bodies = list(endpoint.bodies), []
    resent = await program.run_beside("resend", run_id, TASK)
    assert resent.returncode == 0, resent.stderr
    assert sorted(endpoint.bodies) == sorted(first) and len(first) == 3
    endpoint.bodies = []
    one = await program.run_beside("resend", run_id, TASK, "--attempt", "1", "--json")
    assert [document["attempt"] for document in json.loads(one.stdout)] == [1]
    assert len(endpoint.bodies) == 1 and endpoint.bodies[0] in first
    endpoint.reply = lambda body: "#### other"
    other = await program.run_beside("resend", run_id, TASK)
    assert other.returncode == 1 and "differs in text" in other.stdout and "#### other" in other.stdout
    assert "float32 alone" in other.stderr
    endpoint.faults.extend([400] * 9)
    refused = await program.run_beside("resend", run_id, TASK, "--attempt", "0", "--json")
    assert refused.returncode == 3 and json.loads(refused.stdout)[0]["answer"] is None


def refused(done: subprocess.CompletedProcess[str], said: str) -> None:
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert done.stderr.startswith("stackbench: error: ") and said in done.stderr and "\n" not in done.stderr.strip()


def test_what_cannot_be_shown_or_sent_is_told_in_one_line(program: Program) -> None:
    run = program.json("eval", "gsm8k", "--sample-ids", TASK, "-m", "oracle")["run_id"]
    refused(program.run("show", run, "--request"), "name the task")
    refused(program.run("show", run, "no/such", "--request"), 'no attempt at "no/such"')
    refused(program.run("show", "nosuch", TASK, "--request"), 'no run "nosuch"')
    refused(program.run("resend", run, TASK), "oracle plays the benchmark's reference")
    refused(program.run("resend", run, TASK, "--call", "2"), "no answered request")
    refused(program.run("resend", run, TASK, "-m", "nonsense"), 'unknown model "nonsense"')
    refused(program.run("resend", run, "no/such"), 'no attempt at "no/such"')
    refused(program.run("resend", run, TASK, "--call", "0"), "--call")
    (asked,) = requests_of(program, run)
    assert asked["answered"] and asked["request"]["messages"][-1]["role"] == "user"
