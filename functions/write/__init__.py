"""Merges the parts of a batch, checks that the counts balance, uploads the outputs and commits the manifest."""
