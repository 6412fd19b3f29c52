"""Writes the queries that read decoded records, upcast them to the current version, and evaluate the contract's SQL."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import duckdb
from duckdb.sqltypes import DuckDBPyType

from functions.common.contract import EXTRA, FITS, KEPT, POSITION, SENT, TOTALS, Contract, ControlTotal, Version
from functions.common.record_types import kept_value
from functions.common.schema_shapes import shape_of
from functions.common.sql import identifier, literal
from functions.validate.contract_sql.casts import is_kept, type_named, widens
from functions.validate.contract_sql.predicates import surely_fits, surely_valid
from functions.validate.fast_decoder import plan_of_version

_TWICE = 2
"""The maximum factor by which a record's line exceeds its size: a whole float is written with every zero."""

_HUGE = re.compile(r"\bU?HUGEINT\b")
"""The type of a sum of whole numbers in DuckDB. Parquet lacks it, so DuckDB would write floats."""


def lines_query(path: Path, sent_as: str, max_record_bytes: int, *, keeps_unknown: bool = False) -> str:
    """Return a query that reads the position and the record, with the type `sent_as`, from a file of `DecodedRecord`s.

    With `keeps_unknown`, the query also reads the column EXTRA.
    """
    extra = f", {EXTRA.name}" if keeps_unknown else ""
    extra_type = f", {EXTRA.name}: '{EXTRA.type}'" if keeps_unknown else ""
    return f"""
        SELECT {POSITION}, record AS {SENT}{extra}
        FROM read_json(
            {literal(path)},
            format = 'newline_delimited',
            columns = {{{POSITION}: 'BIGINT', record: {literal(sent_as)}{extra_type}}},
            maximum_object_size = {_TWICE * max_record_bytes + 1024}
        )
    """


@cache
def predicate_of(version: Version, *, is_decoded: bool) -> str:
    """Return an SQL predicate over a sent record that is true only if the record matches its schema.

    `is_decoded` says whether the fast decoder read some of the version's records. If not, all were validated exactly.
    """
    return surely_valid(plan_of_version(version)) if is_decoded else surely_fits(version.schema)


@dataclass(frozen=True, slots=True)
class RecordQueries:
    """Writes the queries of one contract.

    Each relation of records has the column FITS. It is true only if the record is valid by its version's schema and the
    upcasts keep each value.
    """

    contract: Contract
    unsafe: Mapping[int, Mapping[str, DuckDBPyType]] = field(default_factory=dict)
    """By version, the columns whose type after the upcasts has values that the current version may not hold."""
    decimals: Sequence[str] = ()
    """The expressions that replace columns of whole numbers that Parquet can't hold."""

    def records(self, version: Version, sent: str, predicate: str = "true", *, is_guarded: bool = False) -> str:
        """Return a query that converts the records of `version` in `sent` to current records with derived columns.

        If `is_guarded`, all columns of a record are NULL unless `predicate` is true, because an upcast or a derived
        column may fail on a record that the schema rejects.
        """
        read_as = kept_value(shape_of(version.schema, version.schema), SENT)
        if is_guarded:
            read_as = f"CASE WHEN {predicate} THEN {read_as} END"
        of_version = f"""
            SELECT {POSITION}, coalesce({predicate}, false) AS {FITS}, read_as.*{self._extra}
            FROM (SELECT {POSITION}, {SENT}{self._extra}, {read_as} AS read_as FROM {sent})
        """
        derived = [f"{one.sql} AS {identifier(one.name)}" for one in self.contract.derived]
        return f"SELECT {', '.join(['*', *derived])} FROM ({self._as_current(version, of_version)})"

    @property
    def _extra(self) -> str:
        """The column of unknown fields, after a comma, or an empty string if the contract doesn't keep them."""
        return f", {EXTRA.name}" if self.contract.keeps_unknown else ""

    def _as_current(self, version: Version, of_version: str) -> str:
        """Return a query of records of `version` with the current version's columns, in the same order and types."""
        if version is self.contract.current:
            return of_version
        types, unsafe = self.contract.current.columns, self.unsafe.get(version.number, {})
        columns = [
            f"{'TRY_CAST' if name in unsafe else 'CAST'}(newer.{identifier(name)} AS {kind}) AS {identifier(name)}"
            for name, kind in types.items()
        ]
        kept = [is_kept(given, types[name], f"newer.{identifier(name)}") for name, given in unsafe.items()]
        fits = f"{' AND '.join([f'newer.{FITS}', *kept])} AS {FITS}"
        query = self._upcast(version, of_version)
        extra = [f"newer.{EXTRA.name}"] if self._extra else []
        return f"SELECT {', '.join([POSITION, fits, *columns, *extra])} FROM ({query}) AS newer"

    def _upcast(self, version: Version, of_version: str) -> str:
        """Return a query of records of `version` after its upcasts, but before casts to the current version's types."""
        query = of_version
        for one in self.contract.versions[self.contract.versions.index(version) : -1]:
            query = f"WITH records AS (\n{query}\n) SELECT * FROM (\n{one.upcast}\n)"
        return query

    def unsafe_columns(self, connection: duckdb.DuckDBPyConnection, version: Version) -> dict[str, DuckDBPyType]:
        """Return the columns of `unsafe` for one version. Requires a view `records` of that version."""
        sent_as = f"SELECT {POSITION}, true AS {FITS}, CAST(NULL AS {version.record_type}) AS read_as FROM records"
        given = connection.sql(self._upcast(version, f"SELECT {POSITION}, {FITS}, read_as.* FROM ({sent_as})"))
        types = {name.lower(): kind for name, kind in zip(given.columns, given.types, strict=True)}
        current = self.contract.current.columns
        wanted = {name: type_named(connection, kind) for name, kind in current.items()}
        return {name: types[name.lower()] for name in current if not widens(types[name.lower()], wanted[name])}

    def evaluated(self, relation: str) -> str:
        """Return a query of a relation's records as staged. KEPT says whether all rules hold, or NULL unless FITS."""
        query = f"""
            SELECT
                * EXCLUDE ({FITS}),
                CASE WHEN {FITS} THEN {self._all_rules()} END AS {KEPT},
                CASE WHEN {FITS} THEN {self._totals()} END AS {TOTALS}
            FROM {relation}
        """
        return f"SELECT * REPLACE ({', '.join(self.decimals)}) FROM ({query})" if self.decimals else query

    def replaced_columns(self, connection: duckdb.DuckDBPyConnection) -> list[str]:
        """Return the expressions for `decimals`. Requires a view `records`."""
        described = connection.execute(f"DESCRIBE SELECT *, {self._totals()} AS {TOTALS} FROM records").fetchall()
        return [
            f"CAST({identifier(name)} AS {_HUGE.sub('DECIMAL(38,0)', kind)}) AS {identifier(name)}"
            for name, kind, *_ in described
            if _HUGE.search(kind)
        ]

    def rules_kept(self) -> str:
        """Return an SQL expression for a list of booleans: for each rule in order, whether a record satisfies it."""
        return f"CAST([{', '.join(self._rules())}] AS BOOLEAN[])"

    def _all_rules(self) -> str:
        """Return an SQL expression that is true if a record satisfies every rule, otherwise false."""
        return " AND ".join(["true", *self._rules()])

    def _rules(self) -> list[str]:
        return [f"coalesce({rule.sql}, false)" for rule in self.contract.rules]  # NULL counts as broken

    def _totals(self) -> str:
        """Return an SQL struct of what a record adds to control totals that aren't columns, or NULL without any."""
        totals = [total for total in self.contract.control_totals if not self._is_column(total)]
        members = ", ".join(f"{identifier(total.name)}: {total.record_sql}" for total in totals)
        return f"{{{members}}}" if members else "NULL"

    def sums(self) -> dict[str, str]:
        """Return SQL expressions for the exact sums of control totals over staged records, as strings (`0` if none)."""
        staged = {
            total.name: identifier(total.record_sql) if self._is_column(total) else f"{TOTALS}.{identifier(total.name)}"
            for total in self.contract.control_totals
        }
        return {name: f"CAST(coalesce(sum({number}), 0) AS VARCHAR)" for name, number in staged.items()}

    def _is_column(self, total: ControlTotal) -> bool:
        columns = [*self.contract.current.columns, *(derived.name for derived in self.contract.derived)]
        return total.record_sql in columns
