"""The pipeline's Lambda functions: one package a state of the machine, and what they share in `common`."""
