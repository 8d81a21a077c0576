"""`serve`: a managed vLLM server in the foreground."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from typing import Any

from stackbench.cli.console import notice, print_line
from stackbench.cli.options import given_settings
from stackbench.config import Home, load_settings
from stackbench.engine.serving import VllmModel, create_server

__all__ = ["serve"]

REPORT_EVERY_S = 30.0


def serve(target: str, port: int | None, flags: Mapping[str, Any]) -> int:
    """Serves until it is told to stop (0), or the server is lost for good (3)."""
    home = Home.find(flags["home"])
    settings = load_settings(given_settings(flags)).settings
    model = create_server(target, settings, home, port)
    return asyncio.run(_serve(model, model.name.removeprefix("vllm:")))


async def _serve(model: VllmModel, target: str) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # its terminal is what a server in front is kept for
        loop.add_signal_handler(number, stop.set)
    starting = asyncio.ensure_future(model.start(notice))
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            return 0
        starting.result()
        print_line(model.url)
        notice(f"serving; as a model here: openai:{target}@{model.url}  (Ctrl-C stops it)")
        return await _watch(model, stopped)
    finally:
        for task in (starting, stopped):
            task.cancel()
        await asyncio.gather(starting, stopped, return_exceptions=True)
        await model.close()


async def _watch(model: VllmModel, stopped: asyncio.Future[Any]) -> int:
    """Says where the server is after a restart, and now and then what it does."""
    url, printed = model.url, (-1, -1)
    lost = asyncio.ensure_future(model.wait_lost())
    try:
        while True:
            await asyncio.wait({stopped, lost}, timeout=REPORT_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
            if stopped.done():
                return 0
            if lost.done():
                raise lost.result()
            if model.url != url:
                url = model.url
                print_line(url)
            load = model.load()
            if load is not None and (load.running, load.completion_tokens) != printed:
                printed = load.running, load.completion_tokens
                notice(
                    f"{load.running} running, {load.waiting} waiting, cache {load.kv_cache:.0%}, "
                    f"{load.completion_tokens:,} tokens made"
                )
    finally:
        lost.cancel()
        await asyncio.gather(lost, return_exceptions=True)
