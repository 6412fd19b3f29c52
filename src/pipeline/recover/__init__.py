"""What mends: what to start again, what to send again, what to erase, and which outputs no manifest names."""
