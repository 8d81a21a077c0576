"""What a new run can be of: suites, benchmarks, models by name, servers that answer on this machine."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackbench.config import Home
from stackbench.errors import StackbenchError

__all__ = ["USUAL_PORTS", "What", "find_servers", "list_what", "models_here", "own_benchmarks"]

USUAL_PORTS = (8000, 8080, 8081, 30000, 1234, 11434, 5000, 5001)
"""vLLM, llama.cpp, SGLang, LM Studio, Ollama, text-generation-webui and what is put beside them."""
ANSWER_WITHIN_S = 2.0
LARGEST_ANSWER = 1 << 20
MODELS_OF_A_SERVER = 50
OWN_LOOKED_AT = 100


@dataclass(frozen=True, slots=True)
class What:
    """A suite or a benchmark."""

    name: str
    about: str
    suite: bool


def list_what() -> list[What]:
    """The suites, then the benchmarks, those of the user's own in the working folder last."""
    from stackbench.benchmarks.registry import list_benchmarks
    from stackbench.engine import list_suites

    suites = [What(name, suite.description, True) for name, suite in list_suites().items()]
    return [*suites, *(What(name, "", False) for name in list_benchmarks()), *own_benchmarks(Path())]


def own_benchmarks(folder: Path) -> list[What]:
    """Benchmarks that are declared in YAML files of a folder; files that declare none are left out."""
    from stackbench.benchmarks.declared import declared_name, is_definition

    found: list[What] = []
    try:
        paths = sorted(path for path in folder.iterdir() if is_definition(path.name) and path.is_file())
    except OSError:
        return []
    for path in paths[:OWN_LOOKED_AT]:
        with suppress(StackbenchError):
            found.append(What(str(path), declared_name(path), False))
    return found


def models_here(home: Home) -> list[tuple[str, str]]:
    """Models by name with what is known of them; those on this machine first."""
    from stackbench.engine.model_files import list_models

    listed = sorted(list_models(home), key=lambda model: not model.pulled)
    found = [
        (f"hf:{one.model}", f"{one.title}, {one.bytes / 1e9:.1f} GB{', on this machine' if one.pulled else ''}")
        for one in listed
    ]
    return [*found, ("oracle", "plays the reference solutions: the harness's own check"), ("null", "does nothing")]


async def find_servers(ports: tuple[int, ...] = USUAL_PORTS) -> list[str]:
    """`openai:MODEL@URL` of every model that a server on these ports of this machine lists."""
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        found = await asyncio.gather(*(_models(session, f"http://127.0.0.1:{port}/v1") for port in ports))
    return [name for names in found for name in names]


async def _models(session: Any, url: str) -> list[str]:
    with suppress(Exception):  # whatever answers there need not be a server of models
        async with session.get(f"{url}/models") as response:
            if response.status != 200:
                return []
            import json

            document = json.loads(await response.content.read(LARGEST_ANSWER))
            names = [str(one["id"]) for one in document["data"]][:MODELS_OF_A_SERVER]
            return [f"openai:{name}@{url}" for name in names]
    return []
