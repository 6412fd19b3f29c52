"""Drafts a contract from a sample of a producer's files, and tries it on the sample."""
