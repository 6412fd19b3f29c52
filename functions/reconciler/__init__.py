"""Compares the ingest bucket with what became of it, and starts what was forgotten."""
