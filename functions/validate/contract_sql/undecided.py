"""Evaluates valid records again with every digit, if the first evaluation could not decide whether to keep them.

Most files have no such records. They include records on which the contract's SQL fails, which are found one by one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from functions.common.contract import KEPT, POSITION, SENT, Version
from functions.common.failing_records import failing_positions, fails
from functions.common.reject_codes import DOES_NOT_FIT, Reason
from functions.common.sql import STAGED, copy, identifier, literal
from functions.validate.contract_sql.predicates import fits_by_place
from functions.validate.contract_sql.record_queries import RecordQueries

_FAILED = "not_evaluated"
"""The table of records that can't be evaluated: position, whether each rule holds (or NULL), index of a reason."""


@dataclass(frozen=True, slots=True)
class UndecidedRecords:
    """Decides which undecided records of one chunk are kept. Each version needs a view `sent_exactly_<n>`."""

    connection: duckdb.DuckDBPyConnection
    queries: RecordQueries
    reasons: list[Reason]
    """New reasons are appended here. The returned query has indexes into this list."""

    def evaluate(self, versions: Sequence[Version], positions: Path, records: Path) -> str:
        """Evaluate the records at the positions in a file, and replace them in the file `records`.

        Returns a query of the records that aren't kept. It returns the position, whether each rule holds (or NULL), and
        the index of a reason (or NULL).
        """
        undecided = f"read_csv({literal(positions)}, header = false, columns = {{{POSITION}: 'BIGINT'}})"
        connection = self.connection
        connection.execute(
            f"CREATE OR REPLACE TABLE {_FAILED} ({POSITION} BIGINT, rules_kept BOOLEAN[], reason INTEGER)"
        )
        for version in versions:
            connection.execute(
                f"CREATE OR REPLACE TABLE undecided_{version.number} AS "
                f"FROM sent_exactly_{version.number} SEMI JOIN {undecided} USING ({POSITION})"
            )
            self._take_out_unfit(version)
            self._take_out_failing(version)
        evaluated = self.queries.evaluated(f"({' UNION ALL '.join(self._records(version) for version in versions)})")
        more = records.with_suffix(".more")
        rest_and_evaluated = f"""
            FROM read_parquet({literal(records)}) ANTI JOIN {undecided} USING ({POSITION})
            UNION ALL
            {evaluated}
            ORDER BY {POSITION}
        """
        copy(connection, rest_and_evaluated, more, STAGED)
        more.replace(records)
        staged = f"read_parquet({literal(records)}) SEMI JOIN {undecided} USING ({POSITION})"
        upcast = self._reason("a value that the current version of the contract cannot hold unchanged")
        return f"""
            SELECT {POSITION}, {self.queries.rules_kept()} AS rules_kept, NULL AS reason FROM {staged} WHERE NOT {KEPT}
            UNION ALL
            SELECT {POSITION}, NULL, {upcast} FROM {staged} WHERE {KEPT} IS NULL
            UNION ALL
            FROM {_FAILED}
            ORDER BY {POSITION}
        """

    def _records(self, version: Version, condition: str = "true") -> str:
        return self.queries.records(version, f"(FROM undecided_{version.number} WHERE {condition})")

    def _take_out_unfit(self, version: Version) -> None:
        """Move records with a value that can't be kept as its type to the table _FAILED."""
        undecided, cases = f"undecided_{version.number}", []
        for condition, pointer, sentence in fits_by_place(version.schema):
            self.reasons.append(Reason(DOES_NOT_FIT, pointer, "sql", f"{pointer} {sentence}"))
            cases.append(f"WHEN NOT coalesce({condition}, false) THEN {len(self.reasons) - 1}")
        if cases:
            self.connection.execute(
                f"INSERT INTO {_FAILED} "
                f"SELECT {POSITION}, NULL, reason FROM (SELECT {POSITION}, CASE {' '.join(cases)} END AS reason "
                f"FROM {undecided}) WHERE reason IS NOT NULL;"
                f"DELETE FROM {undecided} WHERE {POSITION} IN (SELECT {POSITION} FROM {_FAILED})"
            )

    def _take_out_failing(self, version: Version) -> None:
        """Move records on which the contract's SQL fails to the table _FAILED."""
        undecided = f"undecided_{version.number}"

        def within(first: int, last: int) -> str:
            return f"FROM {undecided} WHERE {POSITION} BETWEEN {first} AND {last}"

        def evaluated(first: int, last: int) -> str:
            query = self.queries.evaluated(f"({self._records(version, f'{POSITION} BETWEEN {first} AND {last}')})")
            return f"SELECT max(hash({SENT})) FROM ({query}) AS {SENT}"  # not the name of a column

        what = f"upcasts, derived columns, rules and control totals of version {version.number}"
        for position in failing_positions(self.connection, within, evaluated, what):
            failing = self._failing_rules(version, position)
            if any(failing):
                found = f"{[not one for one in failing]}, NULL"
            else:
                found = f"NULL, {self._reason(self._what_fails(version, position))}"
            self.connection.execute(f"INSERT INTO {_FAILED} SELECT {position}, {found}")
        self.connection.execute(f"DELETE FROM {undecided} WHERE {POSITION} IN (SELECT {POSITION} FROM {_FAILED})")

    def _is_failing(self, version: Version, position: int, expression: str) -> bool:
        """Return whether an expression over `records`, or a column that it uses, fails on one record."""
        records = self._records(version, f"{POSITION} = {position}")
        return fails(self.connection, f"SELECT max(hash({expression})) FROM ({records})")

    def _failing_rules(self, version: Version, position: int) -> list[bool]:
        """Return whether the SQL of each rule fails on a record. Empty if the SQL of the record's columns fails."""
        contract = self.queries.contract
        columns = [*contract.current.columns, *(derived.name for derived in contract.derived)]
        if self._is_failing(version, position, ", ".join(map(identifier, columns))):
            return []
        return [self._is_failing(version, position, rule.sql) for rule in contract.rules]

    def _what_fails(self, version: Version, position: int) -> str:
        """Return a description of the values on which the SQL of columns or control totals fails."""
        contract = self.queries.contract
        if self._is_failing(version, position, ", ".join(map(identifier, contract.current.columns))):
            return f"values that cannot be upcast from version {version.number} to the current version"
        for derived in contract.derived:
            if self._is_failing(version, position, identifier(derived.name)):
                return f"values from which the derived column {derived.name} cannot be computed"
        for total in contract.control_totals:
            if self._is_failing(version, position, total.record_sql):
                return f"values from which the control total {total.name} cannot be computed"
        return "values that are too large to be kept"

    def _reason(self, has: str) -> int:
        """Append a reason for a record that has something that doesn't fit, and return the reason's index."""
        self.reasons.append(Reason(DOES_NOT_FIT, "", "sql", f"the record has {has}"))
        return len(self.reasons) - 1
