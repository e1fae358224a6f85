"""``python -m fastsam_plugins`` is the command ``fastsam``."""

from fastsam_plugins.cli.main import main

main(prog_name="fastsam")
