"""`pipeline smoke` creates a deployment, runs the tests in tests/e2e/smoke on it, and destroys it."""
