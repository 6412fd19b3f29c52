"""The CLI: builds, deploys, runs, inspects and recovers the pipeline on AWS and on the local emulator."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The root of the repository checkout that contains this package."""
