"""Pure statistics on arrays: pass@k, intervals, paired differences. No input or output."""

from stackbench.stats.estimates import Estimate, amount, proportion, share
from stackbench.stats.paired import PairedDifference, paired_difference
from stackbench.stats.passk import pass_at_k, pass_at_k_estimate, pass_hat_k

__all__ = [
    "Estimate",
    "PairedDifference",
    "amount",
    "paired_difference",
    "pass_at_k",
    "pass_at_k_estimate",
    "pass_hat_k",
    "proportion",
    "share",
]
