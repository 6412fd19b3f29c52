"""Reads one chunk of a file and checks each of its records against the contract."""
