"""How well the agent called its tools: calls matched to the expected ones, and the metrics over all attempts."""
