"""The SQL that reads the lines of one version of a contract, and brings their records to the current version."""

from collections.abc import Mapping
from pathlib import Path

from duckdb.sqltypes import DuckDBPyType

from functions.common.contract import FITS, POSITION, SENT, Contract, Version
from functions.common.sql import identifier, literal
from functions.validate.casts import is_kept

_TWICE = 2
"""How many times its own size a record may take in its line: a whole float is written with every zero."""


def lines(path: Path, sent_as: str, max_record_bytes: int) -> str:
    """The content of a file of `DecodedRecord`s: position, and the record typed as `sent_as`."""
    return f"""
        SELECT {POSITION}, record AS {SENT}
        FROM read_json(
            {literal(path)},
            format = 'newline_delimited',
            columns = {{{POSITION}: 'BIGINT', record: {literal(sent_as)}}},
            maximum_object_size = {_TWICE * max_record_bytes + 1024}
        )
    """


def records(
    contract: Contract,
    version: Version,
    sent: str,
    predicate: str,
    *,
    unsafe: Mapping[str, DuckDBPyType] | None = None,
    guarded: bool = False,
) -> str:
    """The records of `version` in the relation `sent`, as records of the current version, with what is derived of them.

    `_fits` says whether `predicate` is true of a record as it was sent. What is `guarded` is read only then, else all
    of its columns are NULL: an upcast or a derived column may fail on what the schema does not let pass.
    `unsafe` are the columns whose values an upcast gives as a type that the current version may not hold; `_fits` is
    false where one of them is not kept.
    """
    read_as = f"TRY_CAST({SENT} AS {version.record_type})"
    if guarded:
        read_as = f"CASE WHEN {predicate} THEN {read_as} END"
    of_version = f"""
        SELECT {POSITION}, coalesce({predicate}, false) AS {FITS}, read_as.*
        FROM (SELECT {POSITION}, {SENT}, {read_as} AS read_as FROM {sent})
    """
    derived = [f"{one.sql} AS {identifier(one.name)}" for one in contract.derived]
    return f"SELECT {', '.join(['*', *derived])} FROM ({_upcast(contract, version, of_version, unsafe or {})})"


def upcast(contract: Contract, version: Version, of_version: str) -> str:
    """Records of `version` as its upcasts give them, which is not yet with the types of the current version."""
    query = of_version
    for one in contract.versions[contract.versions.index(version) : -1]:
        query = f"WITH records AS (\n{query}\n) SELECT * FROM (\n{one.upcast}\n)"
    return query


def _upcast(contract: Contract, version: Version, of_version: str, unsafe: Mapping[str, DuckDBPyType]) -> str:
    """Records of `version` as records of the current one, with its columns in their order and of their types."""
    if version is contract.current:
        return of_version
    types = contract.current.columns
    columns = [
        f"{'TRY_CAST' if name in unsafe else 'CAST'}(newer.{identifier(name)} AS {kind}) AS {identifier(name)}"
        for name, kind in types.items()
    ]
    kept = [is_kept(given, types[name], f"newer.{identifier(name)}") for name, given in unsafe.items()]
    fits = f"{' AND '.join([f'newer.{FITS}', *kept])} AS {FITS}"
    query = upcast(contract, version, of_version)
    return f"SELECT {', '.join([POSITION, fits, *columns])} FROM ({query}) AS newer"
