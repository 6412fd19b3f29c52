"""Checks the folder of a contract for faults, and compares it with earlier revisions."""
