"""Diagnoses files that fail: says what a file is instead of records of its dataset, and how to convert it."""
