"""Measures the speed and memory of the pipeline, compared with other Python tools, for `make bench`."""
