"""settings.py: what changes results, told apart from what does not."""

from __future__ import annotations

import pytest

from fastsam_plugins.io import typed_json
from fastsam_plugins.options import CleanOptions, RunOptions, SegmentOptions, TileOptions
from fastsam_plugins.scale.settings import Settings, changed


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (Settings(segmenting=SegmentOptions(conf=0.3)), "conf 0.4, and now it is 0.3"),
        (Settings(cleaning=CleanOptions(min_area=7)), "min_area 0, and now it is 7"),
        (Settings(tiling=TileOptions()), "tiles None, and now it is {"),
        (Settings(texts=("a dog",)), "texts [], and now it is ['a dog']"),
        (Settings(running=RunOptions(batch=9, device="cpu")), ""),
    ],
)
def test_the_option_that_changed_is_named(other, said):
    what = changed(Settings().described(), other.described())
    assert what.startswith(said)
    assert bool(what) == bool(said)


def test_what_is_no_number_in_a_damaged_manifest_is_called_so():
    (nan,) = typed_json.plain(b"[NaN]", "m.json")
    assert changed({"conf": nan}, {"conf": 0.4}) == "conf NaN, and now it is 0.4"
