"""Uploads a file and follows its execution."""
