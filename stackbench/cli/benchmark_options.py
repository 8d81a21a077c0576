"""Options of benchmarks on the command line: `-T name=value` of all, `-T benchmark.name=value` of one of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stackbench import nesting
from stackbench.cli.swe_options import BENCHMARK as SWEBENCH
from stackbench.cli.swe_options import FLAGS, given_swe_options
from stackbench.errors import UsageError
from stackbench.suggestions import did_you_mean

__all__ = ["GivenOptions", "options_of_benchmarks", "options_of_suite"]


@dataclass(frozen=True, slots=True)
class GivenOptions:
    """What the command line sets."""

    shared: dict[str, Any] = field(default_factory=dict[str, Any])
    """Of each benchmark."""
    own: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """By the one benchmark that it is of."""


def options_of_benchmarks(flags: Mapping[str, Any], benchmarks: Sequence[str]) -> GivenOptions:
    """The options of benchmarks that are named.

    Raises:
        UsageError: one is malformed, or of a benchmark that is not run.
    """
    given = GivenOptions()
    for name, value in _parsed(flags["benchmark_options"]).items():
        owner, dot, own = name.partition(".")
        if dot:
            _check(owner, benchmarks, f"-T {name}")
            given.own.setdefault(owner, {})[own] = value
        else:
            given.shared[name] = value
    for name, value in given_swe_options(flags).items():
        _check(SWEBENCH, benchmarks, FLAGS[name])
        given.own.setdefault(SWEBENCH, {})[name] = value
    if flags.get("scenarios") is not None:
        _check("tooluse", benchmarks, "--scenarios")
        given.own.setdefault("tooluse", {})["scenarios"] = str(flags["scenarios"].absolute())
    return given


def options_of_suite(flags: Mapping[str, Any], benchmarks: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The options of a suite's benchmarks, which win over those of its file.

    Raises:
        UsageError: one does not say whose it is; and as `options_of_benchmarks`.
    """
    given = options_of_benchmarks(flags, benchmarks)
    if given.shared:
        name = next(iter(given.shared))
        raise UsageError(
            f"-T {name}: a suite has several benchmarks; say whose option it is: -T BENCHMARK.{name}=VALUE"
        )
    return given.own


def _check(owner: str, benchmarks: Sequence[str], flag: str) -> None:
    if owner not in benchmarks:
        near = did_you_mean(owner, benchmarks)
        raise UsageError(
            f"{flag} goes with the benchmark {owner}, which is not run{near}; run: {', '.join(benchmarks)}"
        )


def _parsed(pairs: Sequence[str] | None) -> dict[str, Any]:
    """`-T name=value`; a value that reads as JSON (a number, true) is one, else text."""
    found: dict[str, Any] = {}
    for pair in pairs or ():
        name, equals, text = pair.partition("=")
        if not equals or "" in name.strip().split("."):
            raise UsageError(f'-T {pair}: write it as name=value; "stackbench list benchmarks" shows the options')
        try:
            found[name.strip()] = nesting.loads(text)
        except ValueError:
            found[name.strip()] = text
    return found
