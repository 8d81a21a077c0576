"""Verdicts on patches, and the folder that keeps them: one for an instance, a patch, an image and a harness."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from stackbench.benchmarks.swebench.patches import patch_hash

__all__ = ["FailureKind", "Verdict", "VerdictStore"]

FailureKind = Literal["", "model", "environment", "ambiguous"]
"""Whose failure it is; empty for none."""
GRADING = "3"
"""Version of the grading around swebench's; another one makes verdicts anew."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a patch."""

    resolved: bool
    kind: FailureKind
    reason: str
    applied: bool
    fail_to_pass: tuple[int, int] = (0, 0)
    """Passed, and all."""
    pass_to_pass: tuple[int, int] = (0, 0)
    report: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The instance's part of swebench's `report.json`."""
    log: str = ""
    """What the test script printed, as swebench graded it."""
    apply_log: str = ""
    test_s: float = 0.0
    """Of the tests, both times where they ran twice."""
    total_s: float = 0.0
    """From the wish for a container to the verdict."""
    oom_kills: int = 0
    timed_out: bool = False
    limits: Mapping[str, float] = field(default_factory=dict[str, float])
    """What the container could use."""
    image: str = ""
    """The image's digest."""
    cached: bool = False
    signature: tuple[str, str] | None = None
    """What swebench's signatures make of the log of a patch that is not resolved: a reason, and whose failure it is."""


class VerdictStore:
    """Verdicts as files; those of the environment are not kept, since they are to be tried again."""

    def __init__(self, folder: Path, harness: str) -> None:
        self._folder = folder
        self._harness = harness

    def find(self, row_digest: str, patch: str, image: str, limits: Mapping[str, float]) -> Verdict | None:
        """The verdict on exactly this patch in exactly this image; None where there is none."""
        with suppress(OSError, ValueError, TypeError, KeyError):
            found: dict[str, Any] = json.loads(self._path(row_digest, patch, image, limits).read_text(encoding="utf-8"))
            for name in ("fail_to_pass", "pass_to_pass"):
                found[name] = tuple(found[name])
            found["cached"] = True
            found["signature"] = tuple(found["signature"]) if found["signature"] else None
            return Verdict(**found)
        return None

    def keep(self, row_digest: str, patch: str, verdict: Verdict) -> None:
        """Keeps a verdict, unless the environment failed."""
        if verdict.kind == "environment":
            return
        path = self._path(row_digest, patch, verdict.image, verdict.limits)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        fresh.write_text(json.dumps(asdict(verdict), default=str), encoding="utf-8", errors="replace")
        fresh.replace(path)

    def _path(self, row_digest: str, patch: str, image: str, limits: Mapping[str, float]) -> Path:
        parts = [row_digest, patch_hash(patch), image, self._harness, GRADING, sorted(limits.items())]
        name = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        return self._folder / name[:2] / f"{name}.json"
