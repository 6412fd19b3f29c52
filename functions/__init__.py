"""The pipeline's Lambda functions: one package a state of the machine, and what they share in `common`."""

import gc

gc.set_threshold(50_000)  # the default, 700, has each start look a hundred times for cycles that are not there
