"""Publish a file of any contract into a local folder with the layout of the processed bucket, without S3."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from functions.common.batch import Batch
from functions.common.contract import Contract
from functions.common.documents.manifest import PublishedFile
from functions.write.manifest import manifest
from tests.unit.steps import publish


def publish_into(
    bucket: Path, work: Path, contract: Contract, records: list[dict[str, Any]], key: str = "x.jsonl"
) -> Batch:
    """Run a file through the steps, and put its tables and manifest where `write` puts them."""
    data = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    done = publish(data, work, name=key, contract=contract)
    source = replace(done.staged.batch.source, key=f"incoming/{contract.dataset}/{key}")
    batch = replace(done.staged.batch, dataset=contract.dataset, source=source)
    outputs = {}
    for table in contract.tables:
        for kind, place in (("parquet", batch.parquet_key(table.name)), ("csv", batch.csv_key(table.name))):
            content = (done.folder / f"{table.name}.{kind}").read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            outputs[f"{table.name}.{kind}"] = PublishedFile(key=place, bytes=len(content), sha256=digest)
            write(bucket / place, content)
    committed = manifest(batch, contract, done.totals, done.merged, outputs, "test")
    write(bucket / batch.manifest_key, committed.to_bytes())
    return batch


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
