"""Installs what a specification names; run as a program in the image that is being built.

Usage: PLAN, a JSON file with `packages`, `pip_packages`, `requirement_paths`, `environment_paths`, `root`, `relax`.
What could not be had as it was asked for is written to `/opt/testbed/left-out.json` and told. Standard library only.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

PIP = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
LEFT_OUT = "/opt/testbed/left-out.json"
RENAMED = {"types-pkg_resources": "types-setuptools", "pytables": "tables", "msgpack-python": "msgpack"}
"""What was withdrawn from the package index (swebench 4.1.0 replaces the first as well), and conda's names for some."""
NOT_ON_INDEX = {"python", "pip", "conda", "nomkl", "pre-commit"}
NAME = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)\s*(.*)$")
PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._\[\],-]*)\s*==\s*([0-9][0-9A-Za-z.]*)(.*)$")
CONDA_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)\s*=\s*([0-9][0-9A-Za-z.*]*)$")


def main(plan: dict[str, Any]) -> None:
    """Raises SystemExit where a required package cannot be had."""
    root, relax = Path(str(plan["root"])), bool(plan["relax"])
    wanted: list[str] = []
    packages = str(plan.get("packages") or "")
    if packages == "requirements.txt":
        wanted += requirement_lines(root, first_of(root, plan["requirement_paths"]))
    elif packages == "environment.yml":
        wanted += conda_lines(first_of(root, plan["environment_paths"]).read_text())
    else:
        wanted += [from_conda(word.strip("'\"")) for word in packages.split()]
    left_out = install([line for line in wanted if line], relax)
    left_out += install(list(plan.get("pip_packages") or ()), relax)
    Path(LEFT_OUT).write_text(json.dumps(left_out))
    for line in left_out:
        print(f"stackbench: {line}", flush=True)


def first_of(root: Path, paths: list[str]) -> Path:
    """The first of these files that is there."""
    for path in paths:
        if (root / path).is_file():
            return root / path
    raise SystemExit(f"error: the repository has none of {paths}")


def requirement_lines(root: Path, path: Path) -> list[str]:
    """The requirements in a file and in those that it names, without the repository itself."""
    found: list[str] = []
    for line in path.read_text().splitlines():
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if text.startswith(("-r ", "--requirement ")):
            named = path.parent / text.split(None, 1)[1]
            found += requirement_lines(root, named) if named.is_file() else []
        elif text and not text.startswith(("-e", "-c", ".", "--")):
            found.append(renamed(text))
    return found


def conda_lines(text: str) -> list[str]:
    """The packages of a conda environment file, as pip names them."""
    found: list[str] = []
    listed = False
    for line in text.splitlines():
        plain = re.sub(r"(^|\s)#.*", "", line).rstrip()
        if re.match(r"^[A-Za-z]", plain):
            listed = plain.startswith("dependencies:")
            continue
        entry = re.match(r"^\s*-\s+(.*)$", plain)
        if listed and entry and not entry[1].rstrip().endswith(":"):
            found.append(from_conda(entry[1].strip().strip("'\"")))
    return [line for line in found if line]


def from_conda(word: str) -> str:
    """A conda requirement as pip writes it; empty for what is no Python package."""
    word = word.split("::")[-1]
    named = NAME.match(word)
    if named is None or named[1].lower() in NOT_ON_INDEX:
        return ""
    pinned = CONDA_PIN.match(word)
    if pinned:
        version = pinned[2] if "*" in pinned[2] else pinned[2] + ("" if pinned[2].count(".") > 1 else ".*")
        word = f"{pinned[1]}=={version}"
    return renamed(word)


def renamed(requirement: str) -> str:
    """With the name that the package index has it under."""
    named = NAME.match(requirement)
    if named is None or named[1] not in RENAMED:
        return requirement
    return RENAMED[named[1]]


def install(wanted: list[str], relax: bool) -> list[str]:
    """Installs all at once; where that fails, one by one. Returns what was left out or taken in another version."""
    if not wanted or pip(*wanted):
        return []
    notes: list[str] = []
    for line in wanted:
        if pip(line):
            continue
        looser = loosened(line)
        if relax and looser and pip("--only-binary", ":all:", looser):
            notes.append(f"{line} cannot be had for this Python; took {looser}")
        else:
            notes.append(f"{line} cannot be had and was left out")
    return notes


def loosened(line: str) -> str:
    """A pinned requirement for any version of the same series; empty for one that is not pinned."""
    pinned = PIN.match(line)
    if pinned is None or pinned[2].count(".") < 1:
        return ""
    series = ".".join(pinned[2].split(".")[:2])
    return f"{pinned[1]}~={series}.0" + (pinned[3] if pinned[3].strip().startswith(";") else "")


def pip(*arguments: str) -> bool:
    """Whether pip installed that."""
    command = [*PIP, *arguments]
    print("+ pip install", *arguments, flush=True)
    done = subprocess.run(command, stdout=sys.stdout, stderr=subprocess.STDOUT, check=False, env=os.environ)
    return done.returncode == 0


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
