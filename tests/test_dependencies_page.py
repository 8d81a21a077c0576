"""The page of dependencies names each one that pyproject.toml asks for, with a reason, and no other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def required() -> dict[str, set[str]]:
    """Packages by extra; those that every installation has stand under the empty name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    return {extra: {re.split(r"[\[<>=~!; ]", one)[0] for one in packages} for extra, packages in groups.items()}


def rows() -> list[tuple[set[str], set[str], str]]:
    """Packages, their extras and the reason, of each row."""
    found: list[tuple[set[str], set[str], str]] = []
    for line in (ROOT / "docs" / "dependencies.md").read_text().splitlines():
        if line.startswith("|") and not line.startswith(("| package", "| ---")):
            packages, reason = (cell.strip() for cell in line.strip("|").split("|", 1))
            names, _, extras = packages.partition(" (extra")
            found.append(({name.strip() for name in names.split(",")}, set(re.findall(r"`([a-z]+)`", extras)), reason))
    return found


def test_each_dependency_has_a_row_with_a_reason() -> None:
    documented = {name: reason for names, _, reason in rows() for name in names}
    asked = set().union(*required().values())
    assert asked - documented.keys() == set()
    assert documented.keys() - asked == set()
    assert all(len(reason) > 10 for reason in documented.values())


def test_a_row_names_an_extra_that_has_the_package_and_only_those_that_have_it() -> None:
    groups = required()
    for names, extras, _ in rows():
        for name in names:
            in_groups = {extra for extra, packages in groups.items() if name in packages}
            if "" in in_groups:
                assert not extras, name
            else:
                assert extras and extras <= in_groups, name
