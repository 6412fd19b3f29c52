"""Runs the local emulator, MiniStack, in its own process."""
