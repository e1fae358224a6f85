"""Tables and pictures of anomalies, salient objects and buildings."""

from __future__ import annotations

import pytest
from PIL import Image

from fastsam_plugins.paper import galleries


@pytest.mark.parametrize("kind", ["anomalies", "salient", "buildings"])
def test_a_table_and_a_picture(setting, kind):
    found = getattr(galleries, kind)(setting)
    (name,) = found.pictures
    assert Image.open(setting.pictures / name).size[0] == 5 * 300 + 4 * 6
    values = dict(zip(found.header, found.rows[0][1], strict=True))
    assert values["best there is to select"] > 95, "the truth is its own"
    assert 40 < values["box, filled"] < 95
    assert ("shadows" in " ".join(found.notes)) == (kind == "buildings")
