"""Turns one chunk's valid records into typed rows, one part a table."""
