"""Calculates the cost of a finished execution."""
