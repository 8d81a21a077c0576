from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from stackbench.cli.follow import _Watcher  # pyright: ignore[reportPrivateUsage]
from stackbench.config import Home
from stackbench.errors import UsageError


async def test_a_run_without_a_status_yet_is_followed_by_its_events(tmp_path: Path) -> None:
    class Client:
        welcome = SimpleNamespace(seq=7)

        async def command(self, verb: str, **arguments: Any) -> Any:
            raise UsageError("no run is live")

    watcher = _Watcher(Home(tmp_path), "r", cast("Any", None))
    runs = [{"run_id": "r", "state": "running"}]
    assert await watcher._catch_up(cast("Any", Client()), runs) == 7  # pyright: ignore[reportPrivateUsage]
