"""Transforms one chunk's valid records into typed rows, one Parquet part per table."""
