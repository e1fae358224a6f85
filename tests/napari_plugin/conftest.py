"""napari with the plugins that are installed, and settings that are never the user's."""

from __future__ import annotations

import os
import tempfile

os.environ["NAPARI_CONFIG"] = os.path.join(tempfile.mkdtemp(prefix="fastsam-tests-"), "napari.yaml")

import pytest

npe2 = pytest.importorskip("npe2", reason="napari is not installed")


@pytest.fixture(scope="session", autouse=True)
def plugins():
    """Found by their entry points, as a viewer does when it opens."""
    manager = npe2.PluginManager.instance()
    manager.discover()
    assert "fastsam-plugins" in manager
    return manager
