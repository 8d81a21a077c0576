import re
from pathlib import Path

import pytest

from stackbench.config import list_settings
from tests.command_line import help_of, said_by

COMMANDS = ["", "eval", "score", "show", "ctl", "models pull", "config", "sandbox", "list"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("width", [80, 120])
def test_a_page_fits_the_terminal_and_breaks_no_command(command: str, width: int) -> None:
    page = help_of(*command.split(), width=width)

    assert max(len(line) for line in page.splitlines()) <= width
    assert page.isascii()
    assert not re.search(r"[a-z;,]\.\.\.", page), "no summary is cut"
    for line in page.splitlines():
        assert not re.search(r"(^|\s)(--?|--[a-z-]*-|stackbench|`[^`]*)$", line), line


def test_eval_has_its_options_in_groups_with_examples() -> None:
    page = help_of("eval", width=80)

    headings = [line.removesuffix(":") for line in page.splitlines() if re.fullmatch(r"\S.*:", line)]
    assert headings == [
        "Arguments", "Options", "Tasks", "SWE-bench", "Run", "Sampling", "Model (hf:, vllm: and gguf:)", "Sandbox",
        "Agent", "Endpoint (openai:)", "vLLM server", "Plan", "Output",
    ]  # fmt: skip
    assert "\n    stackbench eval tooluse -T categories=files,api\n" in page
    assert page.index("--temperature") < page.index("--top-k"), "basic settings come first"


def test_score_offers_only_what_it_honours() -> None:
    page = help_of("score", width=80)

    for field in list_settings():
        assert (f"{field.flag} " in page) == field.scores, field.flag
    assert "--sandboxes N" in page
    assert "--temperature" not in page
    assert "--resume" not in page


def test_batch_is_named_as_it_is_written() -> None:
    page = help_of("--batch", width=80)

    assert page.startswith("Usage: stackbench --batch [OPTIONS] [SUITE]")


def test_a_shell_completes_options_benchmarks_models_and_lists() -> None:
    def completed(words: str) -> set[str]:
        code, out, _ = said_by(
            _STACKBENCH_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(len(words.split(" ")) - 1)
        )
        assert code == 0
        return set(out.split())

    assert {"--temperature", "--top-p", "--top-k"} <= completed("stackbench eval --t")
    assert completed("stackbench eval mbp") == {"mbpp", "mbppplus"}
    assert "hf:qwen2.5-coder-0.5b-instruct" in completed("stackbench eval -m hf")
    assert completed("stackbench eval --api c") == {"chat", "completions"}
    assert completed("stackbench list s") == {"scenarios", "suites"}
    assert "batch" not in completed("stackbench b")


def test_the_program_prints_and_installs_its_completion(tmp_path: Path) -> None:
    shell = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1", "HOME": str(tmp_path)}

    code, script, _ = said_by("--show-completion", "bash", **shell)
    assert (code, "complete -o default -F _stackbench_completion stackbench" in script) == (0, True)
    code, said, _ = said_by("--install-completion", "bash", **shell)
    assert code == 0
    assert str(tmp_path) in said
    assert "stackbench" in (tmp_path / ".bashrc").read_text()


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        ("eval", "stackbench eval [OPTIONS] [BENCHMARK]..."),
        ("score", "stackbench score [OPTIONS] FILE"),
        ("show", "stackbench show [OPTIONS] RUN [SAMPLE]"),
        ("models pull", "stackbench models pull [OPTIONS] NAME..."),
    ],
)
def test_usage_shows_what_may_be_left_out(command: str, usage: str) -> None:
    assert help_of(*command.split(), width=80).splitlines()[0] == f"Usage: {usage}"
