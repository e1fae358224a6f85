"""A tiny CLIP of a few coloured shapes: drawn, trained and shipped with the tests."""

from pathlib import Path

FOLDER = Path(__file__).parent
