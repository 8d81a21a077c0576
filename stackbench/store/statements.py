"""Which SQL a user may run: one statement that reads this database, as DuckDB's own parser sees it."""

from __future__ import annotations

import re

import duckdb

from stackbench.errors import UsageError, one_line

__all__ = ["reading_statement"]

SERIALIZE = "SELECT json_serialize_sql(?::VARCHAR)"
TABLE_FUNCTION = re.compile(r'"type":\s*"TABLE_FUNCTION"')
FUNCTION_NAME = re.compile(r'"function_name":\s*"((?:[^"\\]|\\.)*)"')
EXPLAIN = re.compile(r"\s*EXPLAIN(?:\s+ANALYZE|\s*\([^()]*\))?\s(?P<inner>.*)", re.IGNORECASE | re.DOTALL)
# Others read files, follow pointers into this process, change settings, write logs or run SQL that nobody checked.
TABLE_FUNCTIONS = re.compile(
    r"range|generate_series|unnest|repeat|repeat_row|json_each|json_tree|summary|histogram|histogram_values|table_info"
    r"|show|show_tables|show_databases|functions|pg_timezone_names|icu_calendar_names"
    r"|duckdb_(?:columns|constraints|databases|dependencies|functions|indexes|keywords|memory|schemas|sequences"
    r"|settings|tables|types|views)"
    r"|pragma_(?:collations|database_size|show|storage_info|table_info|version)"
)


def reading_statement(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.Statement:
    """The statement of a user's SQL, parsed.

    It is a SELECT, or an EXPLAIN of one, whose table functions are all on a list of those that only read. What it may
    not do beyond that (files, settings, writing) the connection refuses: see `open_database`.

    Raises:
        UsageError: it is anything else, or not SQL.
    """
    statement = _only_statement(connection, sql)
    kind = _kind(statement)
    select = sql
    if kind == "EXPLAIN":
        explained = EXPLAIN.match(sql)
        if explained is None:
            raise UsageError("an EXPLAIN is written as EXPLAIN SELECT ... or EXPLAIN ANALYZE SELECT ...")
        select = explained["inner"]
        kind = _kind(_only_statement(connection, select))
    if kind != "SELECT":
        raise UsageError(f"queries only read; {kind} is not allowed")
    _check_functions(connection, select)
    return statement


def _only_statement(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.Statement:
    try:
        statements = connection.extract_statements(sql)
    except (duckdb.Error, UnicodeError) as error:
        raise UsageError(f"the query is not SQL that DuckDB reads: {one_line(error, 400)}") from error
    if len(statements) != 1:
        raise UsageError(f"a query is one statement; this has {len(statements)}")
    return statements[0]


def _kind(statement: duckdb.Statement) -> str:
    try:
        return statement.type.name
    except ValueError:  # a kind that DuckDB's own module has no name for (UPDATE EXTENSIONS, say)
        return "this statement"


def _check_functions(connection: duckdb.DuckDBPyConnection, select: str) -> None:
    """The parsed statement comes as JSON, in which quotes of the user's own texts are escaped."""
    try:
        row = connection.execute(SERIALIZE, [select]).fetchone()
    except duckdb.Error as error:
        raise UsageError(f"the query cannot be checked: {one_line(error, 400)}") from error
    tree = str(row[0]) if row else ""
    if not re.match(r'\{"error":\s*false', tree):
        raise UsageError("the query cannot be checked: it is no plain SELECT")
    for found in TABLE_FUNCTION.finditer(tree):
        named = FUNCTION_NAME.search(tree, found.end())
        name = named[1].lower() if named else "?"
        if not TABLE_FUNCTIONS.fullmatch(name):
            raise UsageError(f'queries only read the tables of this database; the function "{name}" is not allowed')
