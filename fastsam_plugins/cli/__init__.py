"""The command ``fastsam``."""
