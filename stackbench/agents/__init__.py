"""A model and tools in a loop."""

from stackbench.agents.base import AgentLimits, AgentResult, Backend, CallMade, Ending, Script
from stackbench.agents.effects import Effects, Watch
from stackbench.agents.loop import run_agent, tool_specs
from stackbench.agents.operator import Decision, Operator

__all__ = [
    "AgentLimits",
    "AgentResult",
    "Backend",
    "CallMade",
    "Decision",
    "Effects",
    "Ending",
    "Operator",
    "Script",
    "Watch",
    "run_agent",
    "tool_specs",
]
