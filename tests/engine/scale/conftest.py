"""Settings of quick runs; nothing here works without pyarrow."""

from __future__ import annotations

import pytest

pytest.importorskip("pyarrow", reason="pyarrow is not installed")

from fastsam_plugins.options import RunOptions
from fastsam_plugins.scale.settings import Settings
from tests.engine.scale.stored import SMALL


@pytest.fixture
def settings():
    """Of quick runs."""
    return Settings(RunOptions(device="cpu", backend="torch"), SMALL)
