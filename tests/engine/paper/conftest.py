"""A setting of experiments with images of coins whose truth is what the network finds."""

from __future__ import annotations

import pytest

from fastsam_plugins.paper.setting import Setting


@pytest.fixture
def data(paper_data):
    """A folder with a folder for each data set."""
    return paper_data


@pytest.fixture
def setting(data, model, tmp_path):
    (tmp_path / "pictures").mkdir()
    return Setting(model, data, tmp_path / "pictures")
