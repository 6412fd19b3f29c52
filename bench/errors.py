"""The error of the benchmark."""


class BenchError(Exception):
    """A measurement failed; the message contains the reason."""
