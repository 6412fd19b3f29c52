"""The local emulator: MiniStack in its own process."""
