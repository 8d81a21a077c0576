"""Whether a task was completed: what the agent left behind, compared with the checks of the scenario."""
