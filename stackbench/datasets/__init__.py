"""The real rows of every benchmark: where they come from, and proof that they are what they should be."""

from stackbench.datasets.manifest import DatasetFile, Manifest, Source, load_manifest
from stackbench.datasets.store import DatasetStore, FileState

__all__ = ["DatasetFile", "DatasetStore", "FileState", "Manifest", "Source", "load_manifest"]
