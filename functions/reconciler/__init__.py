"""Compares the ingest bucket with the executions and their outcomes, and starts missing executions."""
