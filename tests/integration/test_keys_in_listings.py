"""A listing returns keys with any characters unchanged: the client requests URL encoding and decodes it once."""

import re
from collections.abc import Callable
from io import BytesIO
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote_plus
from xml.sax.saxutils import escape

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError

from functions.common import s3_utils
from functions.common.batch_state import ObjectVersion, Pipeline, is_listed, plan, versions
from functions.common.errors import SourceNotVisibleError
from pipeline import ROOT
from pipeline.inspect.batch_history import lookup
from pipeline.recover import erasure, outputs
from tests import harness

KEYS = [
    "incoming/orders/a\nb.jsonl",
    "incoming/orders/a\r\nb\r.jsonl",
    "incoming/orders/\x1b[31m\x00.jsonl",
    "incoming/orders/ a  b+c .jsonl",
    "incoming/orders/%20%2520+%zz.jsonl",
    "incoming/orders/&<é日😀>.jsonl",
    "incoming/orders/folder/",
]


def listed(query: str, keys: list[str]) -> bytes:
    """The response of S3 to a listing, in URL encoding only on request."""
    encode: Callable[[str], str] = lambda key: quote_plus(key, safe="/")  # noqa: E731
    if "encoding-type=url" not in query:
        encode = escape
    of_versions = "versions" in query
    root, entry = ("ListVersionsResult", "Version") if of_versions else ("ListBucketResult", "Contents")
    version = "<VersionId>v1</VersionId><IsLatest>true</IsLatest>" if of_versions else ""
    entries = "".join(
        f"<{entry}><Key>{encode(key)}</Key>{version}<LastModified>2026-01-02T03:04:05.000Z</LastModified>"
        f"<ETag>&quot;e&quot;</ETag><Size>7</Size></{entry}>"
        for key in keys
    )
    kind = "<EncodingType>url</EncodingType>" if "encoding-type=url" in query else ""
    return f"<{root}><Name>b</Name>{kind}<IsTruncated>false</IsTruncated>{entries}</{root}>".encode()


@pytest.fixture
def s3(aws: None) -> Any:
    """The functions' client, which lists `client.keys` without moto: moto ignores the encoding of versions."""
    client: Any = s3_utils.client()
    client.keys = list(KEYS)
    client.queries = []

    def respond(request: Any, **_: Any) -> Any:
        client.queries.append(request.url.partition("?")[2])
        raw: Any = BytesIO(listed(client.queries[-1], client.keys))
        raw.stream = lambda **_: iter([raw.getvalue()])
        return AWSResponse(request.url, 200, {"content-type": "application/xml"}, raw)

    for operation in ("ListObjectVersions", "ListObjectsV2"):
        client.meta.events.register_first(f"before-send.s3.{operation}", respond)
    return client


def place(s3: Any) -> Any:
    return SimpleNamespace(
        s3=lambda: s3, outputs=lambda: {"ingest_bucket": harness.INGEST, "processed_bucket": harness.PROCESSED}
    )


def pipeline(s3: Any) -> Pipeline:
    return Pipeline(s3_utils.Storage(s3), SimpleNamespace(), harness.INGEST, harness.PROCESSED, "machine", 1)  # type: ignore[arg-type]


LISTINGS: dict[str, Callable[[Any], list[str]]] = {
    "survey": lambda s3: [found.key for found in versions(pipeline(s3))],
    "erase": lambda s3: [key for _, key, _ in erasure._versions(place(s3), "bucket", "")],
    "outputs": lambda s3: list(outputs._listed(place(s3), "Contents[].Key")),
    "one page": lambda s3: [found["Key"] for found in s3.list_objects_v2(Bucket="bucket")["Contents"]],
}


@pytest.mark.parametrize("keys", LISTINGS.values(), ids=LISTINGS)
def test_a_key_is_listed_unchanged(s3: Any, keys: Callable[[Any], list[str]]) -> None:
    assert keys(s3) == KEYS
    assert all("encoding-type=url" in query for query in s3.queries)


@pytest.mark.parametrize("key", KEYS)
def test_a_key_s_own_versions_are_found(s3: Any, key: str) -> None:
    s3.keys = [key]
    assert [found.key for found in lookup.versions_of(place(s3), key)] == [key]
    assert is_listed(pipeline(s3), key, "v1")
    assert not is_listed(pipeline(s3), key, "v2")


def test_no_code_requests_an_encoding_itself() -> None:
    """botocore requests and decodes it. If the caller requests it, botocore leaves the decoding to the caller."""
    for folder in ("functions", "src"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not re.search("EncodingType", path.read_text("utf-8")), path


# --- listed, but not returned -----------------------------------------------------------------------------------------


def version(s3: Any, key: str) -> ObjectVersion:
    (found,) = (one for one in versions(pipeline(s3)) if one.key == key)
    return found


def test_a_version_that_is_listed_but_not_returned_is_not_reported_as_deleted(s3: Any) -> None:
    with pytest.raises(SourceNotVisibleError, match=r"lists s3://.*a�b\.jsonl but does not return it"):
        plan(pipeline(s3), version(s3, KEYS[0]))


def test_a_version_that_is_no_longer_listed_is_deleted(s3: Any) -> None:
    found = version(s3, KEYS[0])
    s3.keys.remove(KEYS[0])
    assert plan(pipeline(s3), found) is None


def test_another_error_does_not_mean_that_a_version_is_deleted(s3: Any) -> None:
    def refuse(request: Any, **_: Any) -> Any:
        raw: Any = BytesIO(b"")
        raw.stream = lambda **_: iter([b""])
        return AWSResponse(request.url, 403, {}, raw)

    found = version(s3, KEYS[0])
    s3.meta.events.register_first("before-send.s3.GetObject", refuse)
    with pytest.raises(ClientError, match="403"):
        plan(pipeline(s3), found)
