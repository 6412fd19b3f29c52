"""Writes the failure record of an execution, and sees that somebody is told."""
