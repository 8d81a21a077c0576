"""SWE-bench (Jimenez et al. 2024, arXiv:2310.06770): instances, images, solving, grading."""

from stackbench.benchmarks.swebench.benchmark import SweBench, SweBenchOptions

__all__ = ["SweBench", "SweBenchOptions"]
