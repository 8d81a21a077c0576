"""Where code that nobody has read is executed; what the rooms above need to know of it, without Docker."""

from stackbench.sandbox.spec import SandboxSpec
from stackbench.sandbox.types import CodeJob, CodeResult, Outcome, Sandbox, Section

__all__ = ["CodeJob", "CodeResult", "Outcome", "Sandbox", "SandboxSpec", "Section"]
