"""Spoken requests and commands: recognised, carried out, scored by execution."""

from stackbench.benchmarks.voice.benchmark import Voice, VoiceOptions

__all__ = ["Voice", "VoiceOptions"]
