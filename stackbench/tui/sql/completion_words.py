"""What a word that is being typed may become: a table, a column of a table that the statement names, a keyword."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stackbench.store import Queries

__all__ = ["Catalog", "completions", "read_catalog"]

COLUMNS = """
SELECT table_name, column_name, data_type FROM duckdb_columns()
WHERE schema_name = 'main' AND NOT internal ORDER BY table_name, column_index
"""
KEYWORDS = (
    "SELECT", "FROM", "WHERE", "GROUP BY", "ORDER BY", "LIMIT", "HAVING", "JOIN", "LEFT JOIN", "USING", "ON", "AND",
    "OR", "NOT", "AS", "DESC", "DISTINCT", "COUNT(*)", "AVG(", "SUM(", "MIN(", "MAX(", "MEDIAN(", "QUANTILE_CONT(",
    "FILTER", "CASE", "WHEN", "THEN", "ELSE", "END", "WITH", "UNION ALL", "BETWEEN", "LIKE", "ILIKE", "IS NULL",
    "DESCRIBE", "SHOW TABLES", "SUMMARIZE", "EXPLAIN", "QUALIFY", "OVER", "PARTITION BY", "DATE_TRUNC(",
)  # fmt: skip
MOST = 12
WORD = re.compile(r"(?:(?P<table>\w+)\.)?(?P<word>\w*)$")
AFTER_TABLE = re.compile(r"\b(?:from|join|describe|summarize|table)\s+\w*$", re.IGNORECASE)
NAMED_TABLES = re.compile(r"\b(?:from|join)\s+(\w+)(?:\s+(?:as\s+)?(\w+))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Catalog:
    """The tables, with their columns and the columns' types."""

    tables: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])


def read_catalog(queries: Queries) -> Catalog:
    """Of the database at hand."""
    tables: dict[str, dict[str, str]] = {}
    for table, column, kind in queries.rows(COLUMNS):
        tables.setdefault(table, {})[column] = kind
    return Catalog(tables)


def completions(before: str, statement: str, catalog: Catalog) -> list[tuple[str, str]]:
    """The words that the end of `before` may become, each with what it is; `statement` tells which tables are meant."""
    found = WORD.search(before)
    if found is None:
        return []
    word, table = found["word"], found["table"]
    named = {(alias or name).lower(): name.lower() for name, alias in NAMED_TABLES.findall(statement)}
    if table is not None:
        columns = catalog.tables.get(named.get(table.lower(), table.lower()), {})
        return _fitting(word, list(columns.items()))
    if not word:
        return []
    tables = [(name, "table") for name in catalog.tables]
    if AFTER_TABLE.search(before):
        return _fitting(word, tables)
    wanted = [name for name in named.values() if name in catalog.tables] or list(catalog.tables)
    columns = {column: kind for name in wanted for column, kind in catalog.tables[name].items()}
    keywords = [(one if word.isupper() else one.lower(), "keyword") for one in KEYWORDS]
    return _fitting(word, [*columns.items(), *tables, *keywords])


def _fitting(word: str, candidates: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those that begin with the word, the shortest first, then those that hold it; keywords last of each."""
    low = word.lower()
    begins = [one for one in candidates if one[0].lower().startswith(low) and one[0].lower() != low]
    begins.sort(key=lambda one: (one[1] == "keyword", len(one[0])))
    holds = [one for one in candidates if len(low) > 2 and low in one[0].lower() and one not in begins]
    return list(dict(begins + [one for one in holds if one[0].lower() != low]).items())[:MOST]
