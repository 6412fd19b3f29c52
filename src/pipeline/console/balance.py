"""Prints the record counts of a manifest, and the fields that the contract does not define."""

from rich.markup import escape

from functions.common.documents.chunk_counts import DriftCount
from functions.common.documents.manifest import Manifest
from pipeline.console import many, out, plain


def balance(manifest: Manifest) -> None:
    """Print the reconciliation of every record as two equations, then the control totals and the drift."""
    counts = manifest.counts
    out.print("\n[bold]Balance[/bold]")
    out.print(f"  received {counts.received} = valid {counts.valid} + rejected {counts.rejected}")
    out.print(f"  valid {counts.valid} = published {counts.published} + superseded {counts.superseded}")
    n_bytes = manifest.bytes
    if n_bytes and n_bytes.unreadable:
        share = n_bytes.unreadable / n_bytes.received
        out.print(f"  {n_bytes.unreadable} of {n_bytes.received} bytes could not be read as records: {share:.2%}")
    for version, numbers in manifest.records_by_version.items():
        out.print(f"  version {plain(version)}: valid {numbers.valid}, rejected {numbers.rejected}")
    for name, total in manifest.control_totals.items():
        sides = f"validated {total.validated} − superseded {total.superseded} = published {total.published}"
        out.print(f"  {escape(name)}: {sides}")
    drift(manifest)


def drift(manifest: Manifest) -> None:
    """Print the fields that the contract does not define, and the number of records that had each of them."""
    if manifest.drift:
        out.print("\n[bold]Drift[/bold]: fields that the contract does not define")
    for one in manifest.drift:
        field = plain(one.field) or "others"
        where = "envelope" if one.in_envelope else "record"
        of_version = "" if one.in_envelope else f" of version {one.contract_version}"
        out.print(f"  {field}: {many(one.records, where)}{of_version}: {drift_result(one)}")
    if any(not one.in_envelope for one in manifest.drift):
        out.print(f"  to add them to the contract: pipeline contract draft FILE --update contracts/{manifest.dataset}")


def drift_result(one: DriftCount) -> str:
    """Return what the pipeline did with a field that the contract does not define, in words."""
    if one.in_envelope:
        return "the member was not published"
    if one.kept:
        return "the field was kept in _extra"
    return "the field was dropped" if one.dropped else "the record was rejected"
