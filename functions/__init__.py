"""The pipeline's Lambda functions. Each has its own package; `common` has the code that they share."""

import gc

gc.set_threshold(50_000)  # with the default of 700, each start searches for cycles a hundred times and finds none
