"""Holds a run's rows against its hash chain: what was changed, removed, added or moved after it was committed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stackbench.store.chain import (
    CHAIN_COLUMNS,
    GENESIS,
    SEALED,
    ChainEntry,
    attempt_sha256,
    evidence_sha256,
    link,
    row_sha256,
    run_seal,
)
from stackbench.store.query import Queries
from stackbench.store.writer import ATTEMPT_COLUMNS

__all__ = ["ChainAudit", "audit_chain"]

CHAIN = f"SELECT {CHAIN_COLUMNS} FROM attempt_chain WHERE run_id = ? ORDER BY position"
ATTEMPTS = f"SELECT {ATTEMPT_COLUMNS} FROM attempts WHERE run_id = ? ORDER BY rowid"
EVENTS = """
SELECT benchmark, task_id, attempt, seed, seq, kind, payload FROM events
WHERE run_id = ? AND seed IS NOT NULL ORDER BY seq, rowid
"""
TOOL_CALLS = """
SELECT benchmark, task_id, attempt, seed, step, tool, arguments, valid, result, error, duration_ms FROM tool_calls
WHERE run_id = ? ORDER BY rowid
"""
Key = tuple[str, str, int, int]


@dataclass(frozen=True, slots=True)
class ChainAudit:
    """What the chain says of a run."""

    head: str
    """The chain's last hash; empty where there is no chain."""
    entries: int
    problems: tuple[str, ...]
    """A line for each thing that does not fit; empty where all do."""
    sealed: bool
    """Whether the run's end is the chain's last entry."""


def audit_chain(queries: Queries, run_id: str) -> ChainAudit:
    """Computes every hash again from the rows that are there."""
    chain = [ChainEntry(*row) for row in queries.rows(CHAIN, [run_id])]
    if not chain:
        return ChainAudit("", 0, ("there is no chain: an older version made the run, or it was removed",), sealed=False)
    live, order = _live(chain)
    hashes = _row_hashes(queries, run_id)
    problems = [*_links(chain, run_id), *_rows(live, hashes)]
    if not problems and order != list(hashes):
        moved = next(key for key, other in zip(order, hashes, strict=True) if key != other)
        problems.append(f"attempts stand in another order than they were committed in, from {_name(moved)} on")
    sealed = chain[-1].kind == "end"
    if sealed and chain[-1].row_sha256 != run_seal([queries.rows(sql, [run_id]) for sql in SEALED]):
        problems.append("the run's row, its benchmarks or its metrics were changed after its end")
    return ChainAudit(chain[-1].chain_sha256, len(chain), tuple(problems), sealed)


def _links(chain: Sequence[ChainEntry], run_id: str) -> list[str]:
    before = GENESIS
    for place, entry in enumerate(chain):
        if entry.position != place:
            return [f"entry {place} of the chain is missing"]
        before = link(before, place, entry.kind, entry.row_sha256)
        if before != entry.chain_sha256:
            return [f"entry {place} of the chain ({entry.kind}{_of(entry)}) was changed"]
    if chain[0].kind != "begin" or chain[0].row_sha256 != row_sha256([run_id]):
        return ["the chain does not begin with this run"]
    return []


def _live(chain: Sequence[ChainEntry]) -> tuple[dict[Key, str], list[Key]]:
    """The row's hash of each attempt that was committed and not taken back; and their order."""
    live: dict[Key, str] = {}
    for entry in chain:
        if entry.benchmark is None or entry.task_id is None or entry.attempt is None or entry.seed is None:
            continue
        key = (entry.benchmark, entry.task_id, entry.attempt, entry.seed)
        live.pop(key, None)
        if entry.kind == "attempt":
            live[key] = entry.row_sha256
    return live, list(live)


def _row_hashes(queries: Queries, run_id: str) -> dict[Key, str]:
    """Of each attempt, in the order of the rows."""
    events: dict[Key, list[tuple[int, str, str]]] = defaultdict(list)
    for row in queries.rows(EVENTS, [run_id]):
        events[_key(row)].append((row[4], row[5], row[6]))
    calls: dict[Key, list[Sequence[Any]]] = defaultdict(list)
    for row in queries.rows(TOOL_CALLS, [run_id]):
        calls[_key(row)].append(row[4:])
    found: dict[Key, str] = {}
    for row in queries.rows(ATTEMPTS, [run_id]):
        key = _key(row[1:])
        found[key] = attempt_sha256(row, evidence_sha256(events.get(key, ()), calls.get(key, ())))
    return found


def _rows(live: dict[Key, str], hashes: dict[Key, str]) -> list[str]:
    changed = [key for key, digest in live.items() if key in hashes and hashes[key] != digest]
    removed = [key for key in live if key not in hashes]
    added = [key for key in hashes if key not in live]
    return [
        *(f"{_name(key)} was changed after it was committed" for key in changed),
        *(f"{_name(key)} was removed after it was committed" for key in removed),
        *(f"{_name(key)} was added: the chain does not hold it" for key in added),
    ]


def _key(row: Sequence[Any]) -> Key:
    return row[0], row[1], row[2], row[3]


def _name(key: Key) -> str:
    return f"{key[0]} {key[1]}, attempt {key[2]}, seed {key[3]}"


def _of(entry: ChainEntry) -> str:
    return "" if entry.task_id is None else f" {entry.benchmark} {entry.task_id}"
