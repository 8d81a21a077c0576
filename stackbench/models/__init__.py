"""Text in, text out: one protocol, one file per kind of model."""

from stackbench.models.base import Model, Pooled, Preset, Reloadable, Remote, Templated, Tokenizing, Watched
from stackbench.models.options import ModelOptions
from stackbench.models.registry import create_model, parse_model_name

__all__ = [
    "Model",
    "ModelOptions",
    "Pooled",
    "Preset",
    "Reloadable",
    "Remote",
    "Templated",
    "Tokenizing",
    "Watched",
    "create_model",
    "parse_model_name",
]
