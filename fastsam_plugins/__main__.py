"""``python -m fastsam_plugins`` is the command ``fastsam``."""

from fastsam_plugins.cli import main

main(prog_name="fastsam")
