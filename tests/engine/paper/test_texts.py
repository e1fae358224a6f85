"""Figure 6: words on drawn scenes, by a CLIP that learned such words."""

from __future__ import annotations

import copy
import dataclasses
import json

import pytest
from PIL import Image

from fastsam_plugins.paper import texts
from fastsam_plugins.paper.setting import Missing
from support.tiny_clip import FOLDER, as_coco
from support.tiny_clip.scenes import scene


@pytest.fixture
def drawn(tmp_path):
    """A folder of three scenes, whose objects' categories are named like `red circle`."""
    folder = tmp_path / "drawn" / "text"
    as_coco.write(folder, [scene(77, k) for k in range(3)])
    return folder


def test_words_select_what_they_name(setting, drawn):
    setting = dataclasses.replace(setting, data=drawn.parent, clip=str(FOLDER))
    found = texts.texts(setting)
    right = {name: values[0] for name, values in found.rows}
    assert right["control: the best mask there is"] >= 80
    assert right["crops"] >= right["control: the best mask there is"] - 10
    assert right["crops"] > right["control: the largest mask"] + 30
    assert right["auto"] > right["control: the largest mask"] + 30
    assert [len(values) for _, values in found.rows] == [4] * 5
    assert Image.open(setting.pictures / "texts.png").size == (
        6 * 300 + 5 * 6,
        26 + 3 * 300 + 2 * 6,
    )


def test_objects_of_which_there_are_two_are_not_asked_for(drawn):
    truth = json.loads((drawn / "instances.json").read_text())
    before = texts._questions(drawn / "instances.json", copy.deepcopy(truth))
    first = [a for a in truth["annotations"] if a["image_id"] == 0]
    first[1]["category_id"] = first[0]["category_id"]
    first[2]["iscrowd"] = 1
    after = texts._questions(drawn / "instances.json", truth)
    large = sum(a["area"] >= texts.SMALLEST for a in first[:3])
    assert large > 0
    assert len(before[0].words) - len(after[0].words) == large
    assert before[1].words == after[1].words


def test_what_is_missing_is_said(setting, drawn, tmp_path):
    setting = dataclasses.replace(setting, data=drawn.parent)
    with pytest.raises(Missing, match=r"a CLIP \(`--clip`\): .*nowhere"):
        texts.texts(dataclasses.replace(setting, clip=str(tmp_path / "nowhere")))
    truth = json.loads((drawn / "instances.json").read_text())
    truth["categories"] = truth["categories"][:1]
    (drawn / "instances.json").write_text(json.dumps(truth))
    with pytest.raises(Missing, match="has one category"):
        texts.texts(setting)
    (drawn / "instances.json").unlink()
    with pytest.raises(Missing, match=r"needs `instances\.json`"):
        texts.texts(setting)
