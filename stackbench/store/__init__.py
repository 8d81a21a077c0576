"""The DuckDB database: one writer, typed reads, read-only queries. SQL lives here and in report, nowhere else."""

from stackbench.store.database import SCHEMA_VERSION, open_database
from stackbench.store.done_attempts import DoneAttempts
from stackbench.store.query import FORMATS, FreshQueries, LocalQueries, Queries, run_user_query
from stackbench.store.reader import AttemptDetail, Labels, Reader, RunInfo, Unpassed
from stackbench.store.remote import RemoteQueries, open_queries
from stackbench.store.rendering import result_file
from stackbench.store.results import HAS_PLANNED, BenchmarkResult, MissingMetric, PlannedBenchmark
from stackbench.store.rows import BenchmarkRow
from stackbench.store.run_labels import label_run
from stackbench.store.writer import RunRow, Writer

__all__ = [
    "FORMATS",
    "HAS_PLANNED",
    "SCHEMA_VERSION",
    "AttemptDetail",
    "BenchmarkResult",
    "BenchmarkRow",
    "DoneAttempts",
    "FreshQueries",
    "Labels",
    "LocalQueries",
    "MissingMetric",
    "PlannedBenchmark",
    "Queries",
    "Reader",
    "RemoteQueries",
    "RunInfo",
    "RunRow",
    "Unpassed",
    "Writer",
    "label_run",
    "open_database",
    "open_queries",
    "result_file",
    "run_user_query",
]
