"""Adapts a request to an endpoint: a parameter that a refusal names is left out and the request is repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from stackbench.models.openai.dialect import Change, Dialect
from stackbench.models.openai.faults import RefusedError
from stackbench.models.openai.window import is_too_long

__all__ = ["settled"]

CHANGES_AT_MOST = 24

T = TypeVar("T")
Body = dict[str, Any]


async def settled(
    ask: Callable[[Body], Awaitable[T]],
    build: Callable[[], Body],
    dialect: Dialect,
    changed: Callable[[Change], None] = lambda change: None,
    *,
    by_trial: Callable[[Body], Awaitable[Any]] | None = None,
) -> T:
    """The answer to a request whose body `build` makes in the dialect, which grows by what is refused.

    `changed` is told each change once the request is taken. Where a refusal names nothing and such a body was never
    taken before, parameters are left out one after the other with `by_trial`, to find out which is meant.

    Raises:
        RefusedError: nothing can be left out that would help; the dialect is then as it was, but for what was named.
    """
    changes: list[Change] = []
    innocent: set[str] = set()
    last = ""
    for _ in range(CHANGES_AT_MOST):
        body = build()
        try:
            answer = await ask(body)
        except RefusedError as error:
            if is_too_long(error) and not dialect.names_another(error, body):
                raise
            if changes and error.detail.text == last and _is_single(changes[-1]):
                wrong = changes.pop()  # the same words again: it was not that
                dialect.take_back(wrong)
                innocent.add(wrong.name)
                body = build()
            last = error.detail.text
            change = dialect.blame(error, body, innocent)
            if change is not None:
                changes.append(change)
                continue
            if by_trial is None or not dialect.may_be_of_form(error, body):
                raise
            async with dialect.trial:
                if build() != body:
                    continue  # another request found out meanwhile
                found = await _found_by_trial(by_trial, body, dialect)
            if not found:
                dialect.tried.add(frozenset(body))
                raise
            changes += found
            continue
        dialect.accept(body)
        for change in {change.name: change for change in changes}.values():
            changed(change)
        return answer
    raise AssertionError("unreachable: each change leaves less to change")


def _is_single(change: Change) -> bool:
    """Whether a change that did not help says that it was the wrong one: a smaller number may still be too large."""
    return change.name not in ("stop", "logprobs")


async def _found_by_trial(ask: Callable[[Body], Awaitable[Any]], body: Body, dialect: Dialect) -> list[Change]:
    """Changes without which the server refuses the body; none where it refuses the bare request too."""
    names = dialect.removable(body)
    keys = {name: dialect.limit if name == "limit" else name for name in names}
    bare = {name: value for name, value in body.items() if name not in (*keys.values(), "top_logprobs")}
    if not names or not await _is_taken(ask, bare):
        return []
    beside = {name: {keys[name]: body[keys[name]]} for name in names}
    if "logprobs" in beside and "top_logprobs" in body:
        beside["logprobs"]["top_logprobs"] = body["top_logprobs"]
    taken = await asyncio.gather(*(_is_taken(ask, {**bare, **beside[name]}) for name in names))
    refused = [name for name, is_taken in zip(names, taken, strict=True) if not is_taken]
    return [change for name in refused if (change := dialect.do_without(name, body)) is not None]


async def _is_taken(ask: Callable[[Body], Awaitable[Any]], body: Mapping[str, Any]) -> bool:
    try:
        await ask(dict(body))
    except RefusedError:
        return False
    return True
