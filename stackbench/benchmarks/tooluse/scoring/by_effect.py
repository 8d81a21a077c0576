"""Whether a call did what an expected call is for: by the files, requests and processes it touched."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from stackbench.benchmarks.tooluse.checks.matchers import arguments_of, is_right
from stackbench.benchmarks.tooluse.scenario.scenario import ExpectedCall
from stackbench.nesting import is_object
from stackbench.sandbox.records import HttpRequest

if TYPE_CHECKING:
    from stackbench.agents import CallMade, Effects

__all__ = ["MANY_IN_ONE", "does", "does_instead", "is_traceless"]

SERVICE = "http://127.0.0.1:8080"
MANY_IN_ONE = ("exec", "apply_patch")
"""A command line or a patch may do the work of several expected calls."""
WRITING = {"write", "edit", "apply_patch"}
READING = {"read", "ls"}
ASKING = {"web_fetch", "http_request"}
OWN = "/workspace/"


def does(expected: ExpectedCall, call: CallMade, *, completed: bool) -> bool:
    """Whether a call of `exec` or `apply_patch` did the work of an expected call.

    A file is named by the expected `path` (changed where a tool that writes would do, or tried to be, where the command
    failed and names it; read where one that reads would), a request by `url` and `method`; how the command is written
    does not count then. An expected call that names neither is done where its `command` fits, or, in a task that was
    completed, where the command changed anything. Where nobody looked at the effects, every command may have done it.
    """
    effects = call.effects
    if effects is None:
        return True
    where = expected.where
    command = arguments_of(call).get("command")
    if "url" in where:
        return any(_is_asked(where, one) for one in effects.requests)
    if "path" in where:
        return _touched(where["path"], expected, effects, str(command), failed=call.failed)
    if "command" in where:
        return is_right("command", where["command"], command, completed) or (completed and _changed_anything(effects))
    return True


def does_instead(expected: ExpectedCall, call: CallMade) -> bool:
    """Whether a call of a tool that an expected call does not name did its work: it touched the file or the address
    that is named there. What names neither, and what is done by `ask_user` or `process`, has no other tool."""
    where = expected.where
    tool = call.tool
    if tool in MANY_IN_ONE:
        return call.effects is not None and bool({"path", "url"} & set(where)) and does(expected, call, completed=False)
    given = arguments_of(call)
    if tool in ASKING:
        asked = {"method": "GET", **given}
        return "url" in where and all(
            is_right(name, where[name], asked.get(name), False) for name in ("url", "method") if name in where
        )
    if call.failed or "path" not in where or "url" in where or bool(WRITING & set(expected.call)) != (tool in WRITING):
        return False
    return tool in READING | WRITING and is_right("path", where["path"], given.get("path", "."), False)


def is_traceless(expected: ExpectedCall) -> bool:
    """Whether no effect tells if an expected call was made: it may be a command, and names no path and no address. That
    the task was completed then shows that it was made, or that there was another way."""
    return bool({"exec", "process"} & set(expected.call)) and not {"path", "url"} & set(expected.where)


def _changed_anything(effects: Effects) -> bool:
    changing = any(one.method not in ("GET", "HEAD", "OPTIONS") for one in effects.requests)
    return bool(effects.paths or effects.started or effects.ended or changing)


def _is_asked(where: dict[str, Any], request: HttpRequest) -> bool:
    methods = {request.method, "GET"} if request.method == "HEAD" else {request.method}
    if "method" in where and not any(is_right("method", where["method"], one, False) for one in methods):
        return False
    plain = f"{SERVICE}{request.path}"
    written = [plain, f"{plain}?{request.query}"] if request.query else [plain]
    return any(is_right("url", where["url"], one, False) for one in written)


def _touched(wanted: Any, expected: ExpectedCall, effects: Effects, command: str, *, failed: bool) -> bool:
    if isinstance(wanted, str):
        if wanted.startswith("/") and not wanted.startswith(OWN):
            return True  # what is outside the workspace is not looked at
        wanted = {"path_of": [wanted]}
    if WRITING & set(expected.call):
        return _any_fits(wanted, effects.paths) or (failed and _is_named(wanted, command))
    if effects.files.read is None:
        return _is_named(wanted, command)
    return _any_fits(wanted, effects.files.read | effects.paths)


def _is_named(wanted: Any, command: str) -> bool:
    names = wanted.get("path_of", ()) if is_object(wanted) else ()
    return any(posixpath.basename(str(one)) in command for one in names)


def _any_fits(wanted: Any, paths: Iterable[str]) -> bool:
    return any(is_right("path", wanted, path, False) for path in paths)
