"""How to talk to an engine: typed messages, a client, and the operator's verbs."""
