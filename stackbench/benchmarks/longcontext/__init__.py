"""Long context: questions about generated texts of an exact length, from 1K to 128K tokens and more."""

from stackbench.benchmarks.longcontext.benchmark import LongContext

__all__ = ["LongContext"]
