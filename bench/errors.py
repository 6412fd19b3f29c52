"""Defines the error of the benchmark."""


class BenchError(Exception):
    """A measurement failed. The message contains the reason."""
