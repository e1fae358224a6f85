"""Training: the user's labels in, ultralytics' trainer, a network that ``FastSAM(path)`` loads."""
