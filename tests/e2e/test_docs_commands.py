"""The documentation against the program: its commands run, its keys and messages are the program's."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from stackbench.cli.app import build_app
from stackbench.cli.arguments import take_debug, with_optional_values
from stackbench.cli.commands_page import commands_page
from stackbench.config.home import Home
from stackbench.engine.plan import Gate
from stackbench.engine.suite import BatchStages, Suite, SuiteBenchmark
from tests.conftest import Program

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
FENCE = re.compile(r"(?:^<!-- (?P<mark>[^\n]*) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(stackbench [^`\n]+)`")
SETTINGS = 'model = "oracle"\nlimit = 2\n'
"""What the commands of the docs run with, unless they say otherwise."""
AT_ONCE = ("--help", "--version", "--install-completion", "--show-completion")
"""Options that act while the line is read: one of them writes into the shell's files of this user."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, with the comment right above it."""

    page: Path
    mark: str
    kind: str
    text: str

    @property
    def commands(self) -> list[str]:
        lines = self.text.replace("\\\n", " ").splitlines()
        if self.kind == "console":
            return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        if self.mark == "crontab":
            return [line.split(maxsplit=5)[5] for line in lines]
        return lines if self.kind == "bash" else []


def blocks(page: Path) -> list[Block]:
    return [Block(page, m["mark"] or "", m["kind"], m["text"]) for m in FENCE.finditer(page.read_text())]


def runnable(page: Path) -> list[Block]:
    return [one for one in blocks(page) if one.kind in ("bash", "console") and not one.mark.startswith("not run: ")]


def stackbench_lines(text: str) -> Iterator[list[str]]:
    """The arguments of each call of the program in a line of shell."""
    words = shlex.shlex(text, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    call: list[str] | None = None
    for word in [*words, ";"]:
        if set(word) <= set("();<>|&"):
            if call is not None:
                yield call
            call = None
        elif call is not None:
            call.append(word)
        elif word.rsplit("/", 1)[-1] == "stackbench":
            call = []


@pytest.fixture(scope="module")
def parser() -> Any:
    return typer.main.get_command(build_app())


def parse(parser: Any, arguments: list[str]) -> None:
    """Reads arguments as the program does, without doing anything; raises what it would complain of."""
    left, _ = take_debug(arguments)
    command, context, name = parser, None, "stackbench"
    left = [word for word in with_optional_values(left) if word not in AT_ONCE]
    while True:
        context = command.make_context(name, list(left), parent=context)
        left = [*getattr(context, "_protected_args", []), *context.args]
        if not hasattr(command, "commands") or not left:
            return
        name, command, left = command.resolve_command(context, left)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_line_of_the_docs_is_one_that_the_program_reads(page: Path, parser: Any) -> None:
    lines = [line for block in blocks(page) for line in block.commands]
    calls = [call for line in lines for call in stackbench_lines(line)]
    for text in INLINE.findall(page.read_text()):
        # "..." stands for more, "[...]" for what may be left out, "a|b" and "A | B" for a choice
        if page.name != "commands.md" and not re.search(r"\.\.\.|\||\[", text) and "VERB" not in text:
            calls += stackbench_lines(text.replace("\\", ""))
    for call in calls:
        try:
            parse(parser, call)
        except typer.TyperException as error:
            said = error.format_message()
            if "Missing " not in said:  # a command that is named in a sentence, without its arguments
                pytest.fail(f"{page.name}: stackbench {shlex.join(call)}: {said}")


def test_the_parser_of_this_test_refuses_what_the_program_refuses(parser: Any) -> None:
    for line in ("eval humaneval --limitt 2", "evaluate humaneval", "runs tagg RUN", "show last --format html"):
        with pytest.raises(typer.TyperException):
            parse(parser, shlex.split(line))


def test_blocks_with_commands_say_that_they_are_shell() -> None:
    unmarked = [
        f"{block.page.name}: {block.text.splitlines()[0]}"
        for page in PAGES
        for block in blocks(page)
        if not block.kind and re.search(r"^(\$ )?(\S*/)?stackbench ", block.text, re.MULTILINE)
    ]
    assert unmarked == []


@pytest.mark.e2e
@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=lambda page: page.name)
def test_the_commands_of_a_page_run(page: Path, home: Home, tmp_path: Path, image: str) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/stackbench"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m stackbench "$@"\n')
    program.chmod(0o755)
    python = tmp_path / "bin/python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    settings = home.path / "config/stackbench/config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(SETTINGS)
    for block in blocks(page):
        if block.mark.startswith("file: "):
            (work / block.mark.removeprefix("file: ")).write_text(block.text)
    script = "\n".join(line for block in runnable(page) for line in block.commands)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-x", "-c", script],
        cwd=work,
        env={
            **Program(home).environment,
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_page_of_commands_is_made_from_the_program() -> None:
    assert (DOCS / "commands.md").read_text() == commands_page()


def section(page: str, heading: str) -> str:
    return re.split(r"^#+ ", (DOCS / page).read_text().split(f"# {heading}\n", 1)[1], flags=re.MULTILINE)[0]


def keys(page: str, heading: str) -> set[str]:
    """What the first column of a section's table names."""
    cells = re.findall(r"^\| (`[^|]*`) \|", section(page, heading), re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


SUITE_TABLES = [("The file", Suite), ("A benchmark", SuiteBenchmark), ("A batch", BatchStages), ("A gate", Gate)]


@pytest.mark.parametrize(("heading", "model"), SUITE_TABLES)
def test_the_page_of_suites_has_the_keys_of_the_file(heading: str, model: Any) -> None:
    assert keys("suites.md", heading) == set(model.model_fields)


@pytest.mark.e2e
def test_json_and_exports_have_the_documented_keys(program: Program, tmp_path: Path, image: str) -> None:
    page = "json-and-exports.md"
    printed = program.json(
        "eval", "humaneval", "mmlu", "-m", "oracle", "--limit", "1", "--name", "a", "-o", str(tmp_path / "out")
    )
    program.json("eval", "humaneval", "-m", "null", "--limit", "1", "--name", "b")
    compared = program.json("compare", "a", "b")

    assert set(printed) == keys(page, "eval and --batch")
    assert set(printed["results"][0]) == keys(page, "A result")
    assert set(program.json("show", "a")) == keys(page, "show and runs")
    assert set(program.json("runs")[0]) == keys(page, "show and runs")
    assert set(program.json("show", "a", "HumanEval/0")[0]) == keys(page, "show RUN TASK")
    assert set(compared) == keys(page, "compare")
    assert set(compared["benchmarks"][0]) == keys(page, "A comparison")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", section(page, "Files of export"), re.MULTILINE))
    assert {file.stem for file in (tmp_path / "out").glob("*.csv")} == set(rows)
    for name, columns in rows.items():
        header = (tmp_path / f"out/{name}.csv").read_text().splitlines()[0].split(",")
        assert header == re.findall(r"`(\w+)`", columns), name


def test_the_messages_of_troubleshooting_are_the_programs() -> None:
    messages: list[str] = re.findall(r"^\| `([^`]+)` \.\.\. \|", (DOCS / "troubleshooting.md").read_text(), re.M)
    said = [
        node.value
        for file in (ROOT / "stackbench").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert len(messages) > 10
    assert [message for message in messages if not any(message in text for text in said)] == []


def test_links_between_pages_lead_somewhere_and_the_index_names_every_page() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!http)([^)#\s]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
    index = (DOCS / "README.md").read_text()
    assert [page.name for page in DOCS.glob("*.md") if page.name != "README.md" and f"({page.name})" not in index] == []
