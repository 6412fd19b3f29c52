"""Settings of all tests: hypothesis without deadlines, and with the same examples every time in CI."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "pipeline",
    deadline=None,
    derandomize="CI" in os.environ,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("pipeline")
