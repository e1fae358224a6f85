"""The network in a process of its own, and what it is asked."""
