"""Execution of untrusted code; the types that other packages need, without Docker."""

from stackbench.sandbox.spec import SandboxSpec
from stackbench.sandbox.types import CodeJob, CodeResult, Outcome, Sandbox, Section

__all__ = ["CodeJob", "CodeResult", "Outcome", "Sandbox", "SandboxSpec", "Section"]
