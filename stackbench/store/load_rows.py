"""The machine's and the model's load during a run, as `resources` holds it."""

from __future__ import annotations

from collections.abc import Mapping

from stackbench.store.query import Queries

__all__ = ["LOAD_COLUMNS", "read_load"]

LOAD_COLUMNS = (
    "gpu_util", "vram_used", "vram_total", "cpu", "rss", "kv_cache", "tokens_per_s", "running", "waiting",
)  # fmt: skip
LOAD = f"""
SELECT {", ".join(LOAD_COLUMNS)} FROM resources WHERE run_id = ? AND cpu IS NOT NULL ORDER BY ts DESC LIMIT ?
"""


def read_load(queries: Queries, run_id: str, last: int) -> list[Mapping[str, float | None]]:
    """The last readings of a run, the oldest first; of several GPUs the first."""
    return [dict(zip(LOAD_COLUMNS, row, strict=True)) for row in reversed(queries.rows(LOAD, [run_id, last]))]
