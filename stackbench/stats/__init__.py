"""Pure statistics on arrays: pass@k, intervals. No input or output."""

from stackbench.stats.estimates import Estimate, bootstrap_mean, clustered_mean, mean, proportion
from stackbench.stats.passk import pass_at_k, pass_at_k_estimate

__all__ = ["Estimate", "bootstrap_mean", "clustered_mean", "mean", "pass_at_k", "pass_at_k_estimate", "proportion"]
