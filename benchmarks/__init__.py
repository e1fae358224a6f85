"""One script per claim; each prints a ratio against the peer it names."""
