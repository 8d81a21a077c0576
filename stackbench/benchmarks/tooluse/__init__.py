"""OpenClaw tool use: an agent works in a sandbox with real tools and is scored on the final state and on its calls."""

from stackbench.benchmarks.tooluse.benchmark import ToolUse, ToolUseOptions

__all__ = ["ToolUse", "ToolUseOptions"]
