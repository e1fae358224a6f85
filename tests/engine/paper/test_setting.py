"""Folders of data, and truths without specks."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins.datasets.sources import Labelled
from fastsam_plugins.masks import runs as R
from fastsam_plugins.paper.setting import Missing, Setting, without_specks


def test_the_first_folder_that_is_there_is_taken(setting):
    assert setting.folder("nowhere", "coco").name == "coco"
    with pytest.raises(Missing, match="there is no `a/` or `b/` in data"):
        setting.folder("a", "b")
    with pytest.raises(Missing, match="in a folder --data"):
        Setting(setting.model, None, setting.pictures).folder("coco")


def test_specks_are_no_objects_and_parts_are_objects_each():
    bitmap = np.zeros((40, 40), bool)
    bitmap[2:10, 2:10] = bitmap[20:30, 20:30] = bitmap[0, 39] = True
    item = Labelled("a.png", (40, 40), [R.from_bitmap(bitmap)])
    (clean,) = without_specks([item])
    assert [R.area(m) for m in clean.masks] == [64, 100]
