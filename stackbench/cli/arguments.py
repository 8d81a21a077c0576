"""The command line's own grammar, before typer reads it: `--batch [SUITE]`, `--resume [RUN]`, `--debug` anywhere."""

from __future__ import annotations

from stackbench.labels import LABEL, RUN_ID

__all__ = ["LATEST", "take_debug", "with_optional_values"]

LATEST = "latest-unfinished"
"""What `--resume` without a run stands for."""


def take_debug(arguments: list[str]) -> tuple[list[str], bool]:
    """Takes `--debug` out of the arguments, wherever it stands before a `--`."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    kept = [word for word in arguments[:end] if word != "--debug"] + arguments[end:]
    return kept, len(kept) != len(arguments)


def with_optional_values(arguments: list[str]) -> list[str]:
    """Makes of options whose value may be left out what typer can read.

    `--batch [SUITE] ...` becomes the command `batch [SUITE] ...`, `--web ...` the command `web ...`, and `--resume`
    without a run gets `LATEST`.
    """
    return _with_resume(_with_batch(arguments))


def _with_batch(arguments: list[str]) -> list[str]:
    if not arguments or not arguments[0].startswith("-"):
        return arguments
    for index, word in enumerate(arguments):
        if word in ("--batch", "--web"):
            return [word.removeprefix("--"), *arguments[:index], *arguments[index + 1 :]]
        if word.startswith("--batch="):
            return ["batch", word.removeprefix("--batch="), *arguments[:index], *arguments[index + 1 :]]
    return arguments


def _with_resume(arguments: list[str]) -> list[str]:
    made: list[str] = []
    for index, word in enumerate(arguments):
        made.append(word)
        if word == "--resume":
            following = arguments[index + 1] if index + 1 < len(arguments) else ""
            if not _names_run(following):
                made.append(LATEST)
    return made


def _names_run(word: str) -> bool:
    """Whether the word behind `--resume` is its value: an id, or a name or tag, which no benchmark and no suite has."""
    if RUN_ID.match(word):
        return True
    if not LABEL.fullmatch(word) or word.endswith(".toml"):
        return False
    from importlib import metadata, resources

    suite = resources.files("stackbench.suites").joinpath(f"{word}.toml")
    return not suite.is_file() and word not in metadata.entry_points(group="stackbench.benchmarks").names
