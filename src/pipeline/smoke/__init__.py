"""Runs `pipeline smoke`, which creates a deployment, tests it with tests/e2e/smoke, and destroys it."""
