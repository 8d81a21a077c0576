"""`list` and `config`: the names that commands take, and the settings in effect."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from stackbench.cli.completion import LISTS
from stackbench.cli.console import print_json, print_table
from stackbench.config import Home, list_settings, load_settings, user_cache
from stackbench.errors import UsageError
from stackbench.nesting import is_array, is_object
from stackbench.suggestions import did_you_mean

__all__ = ["config", "show_list"]


def show_list(what: str, *, as_json: bool) -> None:
    """Prints one of the lists.

    Raises:
        UsageError: there is no such list.
    """
    lists = {"baselines": _baselines, "benchmarks": _benchmarks, "models": _models, "suites": _suites, "tools": _tools}
    if what not in lists:
        raise UsageError(f'there is no list of "{what}"{did_you_mean(what, LISTS)}; lists: {", ".join(LISTS)}')
    if what == "tools" and as_json:
        from stackbench.agents.tools import list_tools

        print_json(list_tools())
        return
    rows = lists[what]()
    if as_json:
        print_json(rows)
        return
    columns = list(rows[0]) if rows else []
    print_table(
        columns,
        [[_cell(row[column]) for column in columns] for row in rows],
        whole=columns[:1],
        or_list=what in ("benchmarks", "baselines"),
    )


def _baselines() -> list[dict[str, Any]]:
    from stackbench.cli.baseline_comparison import list_baselines

    return list_baselines()


def _benchmarks() -> list[dict[str, Any]]:
    from stackbench.benchmarks import list_benchmarks

    return [
        {
            "benchmark": name,
            "title": kind.title,
            "sandbox": kind.uses_sandbox,
            "options": {field: _shown(info.default) for field, info in kind.options_type.model_fields.items()},
        }
        for name, kind in list_benchmarks().items()
    ]


def _models() -> list[dict[str, Any]]:
    from stackbench.engine.model_files import model_kinds, named_models

    named = [
        {"model": f"hf:{name}", "what": f"{entry.title}; {entry.licence}; {entry.context:,} tokens of context"}
        for name, entry in named_models().items()
    ]
    named += [
        {"model": f"gguf:{name}", "what": f"{entry.title}; {entry.licence}, through llama.cpp"}
        for name, entry in named_models().items()
        if entry.sha256
    ]
    return named + [{"model": kind, "what": what} for kind, what in model_kinds().items()]


def _suites() -> list[dict[str, Any]]:
    from stackbench.engine import list_suites

    return [
        {"suite": name, "what": suite.description, "benchmarks": [part.name for part in suite.benchmarks]}
        for name, suite in list_suites().items()
    ]


def _tools() -> list[dict[str, Any]]:
    from stackbench.agents.tools import list_tools

    return [
        {
            "tool": tool["function"]["name"],
            "parameters": [
                f"{name}" if name in tool["function"]["parameters"].get("required", []) else f"{name}?"
                for name in tool["function"]["parameters"]["properties"]
            ],
            "what": tool["function"]["description"].split(". ")[0],
        }
        for tool in list_tools()
    ]


def config(home: Path | None, *, as_json: bool) -> None:
    """Prints every setting with its value and source."""
    place = Home.find(home, to_write=False)
    sourced = load_settings()
    values = sourced.settings.model_dump(mode="json")
    rows: list[dict[str, Any]] = [
        {"setting": field.name, "value": values[field.attribute], "from": sourced.sources[field.attribute]}
        for field in list_settings()
    ]
    rows.append({"setting": "(home)", "value": str(place.path), "from": place.source})
    cache = "STACKBENCH_CACHE" if os.environ.get("STACKBENCH_CACHE") else "default"
    rows.append({"setting": "(cache)", "value": str(user_cache()), "from": cache})
    extra = str(place.data_extra) if place.data_extra else None
    rows.append({"setting": "(extra data)", "value": extra, "from": "STACKBENCH_DATA" if extra else "default"})
    if as_json:
        print_json(rows)
        return
    print_table(["setting", "value", "from"], [[r["setting"], _cell(r["value"]), r["from"]] for r in rows])


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if is_object(value):
        return ", ".join(_option(key, item) for key, item in value.items()) or "-"
    return ", ".join(map(str, value)) if is_array(value) else str(value)


def _option(name: str, value: Any) -> str:
    """An option with its default as `-T` takes it; the name alone where nothing is set."""
    if value is None or value == "" or value == []:
        return name
    if isinstance(value, bool):
        return f"{name}={str(value).lower()}"
    return f"{name}={','.join(map(str, value)) if is_array(value) else value}"


def _shown(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_shown(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
