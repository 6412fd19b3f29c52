"""What `make smoke` checks on AWS and on the local emulator; `make test` runs it on the emulator.

Each test has its name in the summary by the marker `check`, and says with `found` what it has found. With `not_local`
the marker says why a test can run on AWS only.
"""
