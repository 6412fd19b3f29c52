"""Reads stored documents, such as manifests, from the processed bucket."""

from typing import TypeVar

from functions.common.documents.document import StoredDocument
from pipeline.deploy.targets import Target

_D = TypeVar("_D", bound=StoredDocument)


def read_document(place: Target, kind: type[_D], key: str) -> _D | None:
    """Read a document, or return None if it doesn't exist. Raises DocumentError for a document of another kind."""
    try:
        body = place.s3().get_object(Bucket=place.outputs()["processed_bucket"], Key=key)["Body"].read()
    except place.s3().exceptions.NoSuchKey:
        return None
    return kind.read(body, key)
