"""Whether a scenario is sound: its solution passes, doing nothing fails, and each check can fail."""
