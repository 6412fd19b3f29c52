"""Calculates what a run costs on AWS, for `record_run` and `pipeline estimate`."""
