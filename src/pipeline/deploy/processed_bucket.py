"""What the CLI reads from the processed bucket."""

import json
from typing import Any

from pipeline.deploy.targets import Target


def read_json(place: Target, key: str) -> dict[str, Any] | None:
    """A JSON object of the processed bucket, or None where there is none."""
    try:
        body = place.s3().get_object(Bucket=place.outputs()["processed_bucket"], Key=key)["Body"].read()
    except place.s3().exceptions.NoSuchKey:
        return None
    content: dict[str, Any] = json.loads(body)
    return content
