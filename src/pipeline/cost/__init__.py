"""Estimates the cost of processing files."""
