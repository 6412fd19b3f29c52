"""Estimates the cost of a load."""
