"""How a run is asked to ask, from the command line to the record, with a model of a few thousand weights."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="needs the local extra")

from tests.conftest import Program
from tests.models.tiny_model import make_tiny_model

pytestmark = pytest.mark.e2e

EVAL = ("eval", "gsm8k", "--limit", "3", "--max-tokens", "16", "--dtype", "float32")


def test_what_is_told_is_asked_recorded_and_replayed(program: Program, tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "tiny", generation={"top_k": 7, "repetition_penalty": 1.3})
    (tmp_path / "system.txt").write_text("Be brief.")
    options = [
        "--system-prompt", f"@{tmp_path}/system.txt", "--prefill", "#### 18 ", "--stop", "zz", "--min-p", "0.1",
        "--presence-penalty", "0.5", "--generation-config", "checkpoint", "-T", "fewshot_as_turns=true",
        "-T", "shots=2",
    ]  # fmt: skip
    run = program.json(*EVAL, "-m", f"hf:{folder}", *options)
    rows = program.query("SELECT completion, passed FROM attempts ORDER BY task_id")
    assert all(row["completion"].startswith("#### 18 ") for row in rows)
    (sent,) = program.query("SELECT DISTINCT payload->'$.sent.top_k' k, payload->'$.sent.min_p' p FROM events "
                            "WHERE kind = 'model_call'")  # fmt: skip
    assert (sent["k"], float(sent["p"])) == (7, 0.1) or (sent["k"], sent["p"]) == ("7", "0.1")
    (recorded,) = program.query(
        "SELECT config->>'$.settings.system_prompt' system, config->>'$.settings.prefill' prefill, "
        "environment->>'$.model.sampling_not_set' sampling, environment->>'$.model.sha256' hash FROM runs"
    )
    assert (recorded["system"], recorded["prefill"]) == ("Be brief.", "#### 18 ")
    assert "top_k 7, repetition_penalty 1.3" in recorded["sampling"] and len(recorded["hash"]) == 64
    again = program.json("eval", "gsm8k", "--limit", "3", "-m", f"replay:{run['run_id']}", *options)
    assert again["results"][0]["metrics"] == run["results"][0]["metrics"]


def test_a_template_that_refuses_ends_attempts_and_the_run_in_its_words(program: Program, tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "tiny", "{{ raise_exception('Only one turn is supported') }}")
    done = program.run(*EVAL, "-m", f"hf:{folder}", timeout=60)
    assert done.returncode == 3
    rows = program.query("SELECT DISTINCT error FROM attempts")
    assert rows == [{"error": "error: the chat template refuses the chat: Only one turn is supported"}]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--stop", ""], "--stop: "),
        (["--repetition-penalty", "0"], "--repetition-penalty: "),
        (["--top-k", "-1"], "--top-k: "),
        (["--top-k", str(2**31)], "--top-k: "),
        (["--api", "chats"], "--api: Input should be 'auto', 'chat' or 'completions'"),
        (["--sample-ids", ""], "--sample-ids names no task"),
        (["--sample-ids", " , "], "--sample-ids names no task"),
        (["--system-prompt", "@/nowhere"], "--system-prompt: /nowhere cannot be read"),
        (["--chat-template", "x.jinja"], "--chat-template is for hf: and vllm: models"),
        (["--generation-config", "checkpoint"], "--generation-config is for hf: and vllm: models"),
    ],
)
def test_what_cannot_be_asked_is_one_line(program: Program, flags: list[str], said: str) -> None:
    done = program.run("eval", "gsm8k", "-m", "openai:m@http://127.0.0.1:9/v1", *flags)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "flags", [["--quantization", "awq"], ["--dtype", "float32"], ["--generation-config", "checkpoint"]]
)
def test_what_a_gguf_file_decides_itself_is_refused(program: Program, flags: list[str]) -> None:
    done = program.run("eval", "gsm8k", "-m", "gguf:smollm2-135m-instruct", *flags)
    assert done.returncode == 2
    assert f"{flags[0]} is for hf: and vllm: models; a GGUF file is loaded as it is" in done.stderr.splitlines()[-1]


def test_a_template_that_cannot_be_read_is_told_before_anything_is_fetched(program: Program) -> None:
    done = program.run("eval", "gsm8k", "-m", "hf:qwen2.5-coder-0.5b-instruct", "--chat-template", "/nowhere.jinja")
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["stackbench: error: --chat-template /nowhere.jinja: no such file or directory"]


@pytest.mark.docker
def test_show_lists_how_a_model_was_asked(program: Program) -> None:
    flags = ["--top-k", "7", "--stop", "\nQ:", "--prefill", "Sure", "--generation-config", "checkpoint"]
    done = program.run("eval", "gsm8k", "-m", "oracle", "--limit", "2", *flags)
    assert done.returncode == 0, done.stderr
    options = "sampling that is not set: as the checkpoint's generation_config.json has it"
    assert options in " ".join(done.stdout.split())
    shown = " ".join(program.run("show", "last").stdout.split())
    assert 'asked with top_k 7, stop ["\\nQ:"], prefill Sure, generation_config checkpoint' in shown
    assert options in shown
    assert "the checkpoint's sampling" in " ".join(program.run("runs").stdout.split())
    assert "asked with" not in program.run("eval", "gsm8k", "-m", "oracle", "--limit", "1").stdout
