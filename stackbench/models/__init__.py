"""Text in, text out: one protocol, one file per kind of model."""

from stackbench.models.base import Model, ModelOptions
from stackbench.models.registry import create_model, parse_model_name

__all__ = ["Model", "ModelOptions", "create_model", "parse_model_name"]
