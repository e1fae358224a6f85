"""A process of the network's own."""

from __future__ import annotations

import pytest

from napari_plugin.inference.network import Network


@pytest.fixture(scope="module")
def network():
    made = Network()
    yield made
    made.close()
