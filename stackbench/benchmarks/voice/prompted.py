"""Sentences of the benchmark for an operator to speak."""

from __future__ import annotations

from dataclasses import dataclass

from stackbench.benchmarks.voice.clips import load_clips, published_clips

__all__ = ["Sentence", "prompted_sentences"]


@dataclass(frozen=True, slots=True)
class Sentence:
    """What is to be said, and the names in it."""

    text: str
    entities: tuple[str, ...]


def prompted_sentences(count: int) -> list[Sentence]:
    """Commands, requests to an agent and coding requests by turns."""
    clips = [clip for clip in load_clips(published_clips()) if not clip.corrected]
    by_kind = {kind: [clip for clip in clips if clip.kind == kind] for kind in ("command", "tool", "coding")}
    longest = max(len(members) for members in by_kind.values())
    mixed = [members[place] for place in range(longest) for members in by_kind.values() if place < len(members)]
    return [Sentence(clip.say, clip.entities) for clip in mixed[:count]]
