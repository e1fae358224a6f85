"""manifest.py: what made results, and when to go on with them is refused."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins import __version__
from fastsam_plugins.scale.manifest import check_same, versions
from tests.engine.scale.test_results import manifest


def test_versions_are_those_installed():
    known = versions()
    assert known["fastsam-plugins"] == __version__
    assert known["numpy"] == np.__version__


@pytest.mark.parametrize(
    "other",
    [{}, {"versions": {}}, {"running": {"backend": "auto", "precision": "auto"}}],
)
def test_other_versions_and_what_nobody_asked_for_are_the_same(other):
    check_same(manifest(), manifest(**other), "out")


def test_what_differs_is_named():
    with pytest.raises(
        ValueError, match=r"^out was made with precision 'f32', and now it is 'bf16'"
    ):
        check_same(manifest(), manifest(running={"precision": "bf16"}), "out")
