"""The rows of every benchmark: their sources, and the verification of their content."""

from stackbench.datasets.manifest import DatasetFile, Manifest, Source, load_manifest
from stackbench.datasets.store import DatasetStore, FileState

__all__ = ["DatasetFile", "DatasetStore", "FileState", "Manifest", "Source", "load_manifest"]
