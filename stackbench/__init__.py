"""stackbench: an evaluation harness for code language models."""

__all__ = ["__version__"]

__version__ = "0.1.0"
