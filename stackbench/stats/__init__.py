"""Pure statistics on arrays: pass@k, intervals. No input or output."""

from stackbench.stats.estimates import Estimate, bootstrap_mean, clustered_mean, mean, proportion
from stackbench.stats.paired import PairedDifference, paired_difference
from stackbench.stats.passk import pass_at_k, pass_at_k_estimate, pass_hat_k

__all__ = [
    "Estimate",
    "PairedDifference",
    "bootstrap_mean",
    "clustered_mean",
    "mean",
    "paired_difference",
    "pass_at_k",
    "pass_at_k_estimate",
    "pass_hat_k",
    "proportion",
]
