"""The operator's side: builds, deploys, drives and explains the pipeline, on AWS and on the embedded AWS alike."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The checkout that this package runs from."""
