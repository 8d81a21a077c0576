"""Whether a container is short of memory, from the files of both versions of control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackbench.sandbox.inside.group_memory import is_memory_short, oom_kills

GIB = 1 << 30


def group(folder: Path, version: int, used: int, limit: str, cached: int, kills: int) -> str:
    """A control group's folder as the kernel shows it in a container."""
    stat = f"cache {cached}\ninactive_file {cached}\nactive_file 0\n"
    if version == 1:
        texts = {
            "memory/memory.usage_in_bytes": f"{used}\n",
            "memory/memory.limit_in_bytes": f"{limit}\n",
            "memory/memory.stat": stat,
            "memory/memory.oom_control": f"oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n",
        }
    else:
        texts = {
            "memory.current": f"{used}\n",
            "memory.max": f"{limit}\n",
            "memory.stat": stat,
            "memory.events": f"low 0\nhigh 0\nmax 7\noom 3\noom_kill {kills}\noom_group_kill 0\n",
        }
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return str(folder)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("left", "cached", "short"),
    [(20 << 20, 0, True), (0, 0, True), (200 << 20, 0, False), (0, 200 << 20, False), (2 * GIB, 0, False)],
)
def test_memory_is_short_where_hardly_any_is_left_but_files(
    version: int, left: int, cached: int, short: bool, tmp_path: Path
) -> None:
    assert is_memory_short(group(tmp_path, version, 4 * GIB - left, str(4 * GIB), cached, 0)) is short


@pytest.mark.parametrize("version", [1, 2])
def test_kills_are_those_of_the_container(version: int, tmp_path: Path) -> None:
    assert oom_kills(group(tmp_path, version, GIB, str(4 * GIB), 0, 12)) == 12


def test_where_nothing_is_told_or_nothing_bounded_memory_is_not_short(tmp_path: Path) -> None:
    assert not is_memory_short(str(tmp_path)) and oom_kills(str(tmp_path)) == 0
    assert not is_memory_short(group(tmp_path, 2, 8 * GIB, "max", 0, 0))
