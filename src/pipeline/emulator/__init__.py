"""The local emulator: MiniStack in a process of its own."""
