"""The environment variables of the functions in tests: plain values, without AWS or moto."""

import json

REGION = "eu-central-1"
INGEST, PROCESSED = "test-ingest", "test-processed"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
    "POWERTOOLS_SERVICE_NAME": "test",
    "POWERTOOLS_METRICS_NAMESPACE": "test",
    "INGEST_BUCKET": INGEST,
    "PROCESSED_BUCKET": PROCESSED,
    "RELEASE": "test",
    "CHUNK_BYTES": "1000000",
    "MAX_OBJECT_BYTES": "100000000",
    "MAX_INFLATED_BYTES": "100000000",
    "MAX_INFLATION_RATIO": "200",
    "MAX_RECORD_BYTES": "1000000",
    "MAX_NESTING": "64",
    "MAX_REJECT_BYTES": "100000000",
    "UNKNOWN_FIELDS": "reject",
    "MAX_REJECT_RATIO": "0.1",
    "STATE_MACHINE_ARN": f"arn:aws:states:{REGION}:123456789012:stateMachine:test",
    "RECORD_FAILURE_ARN": f"arn:aws:lambda:{REGION}:123456789012:function:record_failure",
    "TOPIC_ARN": f"arn:aws:sns:{REGION}:123456789012:test",
    "DEPLOYMENT": json.dumps(
        {
            "region": REGION,
            "architecture": "arm64",
            "staging_days": 7,
            "functions": {
                "starter": [256, 512],
                "validate": [1769, 10240],
                "transform": [1769, 10240],
                "write": [1769, 10240],
                "record_failure": [256, 512],
                "record_run": [256, 512],
            },
        }
    ),
}
