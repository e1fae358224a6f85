"""Labelled images wherever they come from."""

from __future__ import annotations

import json

import pytest

from fastsam_plugins.datasets import sources
from fastsam_plugins.options import DataOptions
from fastsam_plugins.training import data as training_data
from fastsam_plugins.training.options import TrainOptions
from tests.engine.datasets.drawn import SHAPE, photo


def test_the_standard_layout_of_coco_is_read(tmp_path):
    annotation = {"id": 1, "image_id": 1, "segmentation": [[5, 5, 20, 5, 20, 20, 5, 20]]}
    image = {"id": 1, "file_name": "i.png", "height": SHAPE[0], "width": SHAPE[1]}
    content = {
        "images": [image],
        "annotations": [annotation, {**annotation, "id": 2, "image_id": 9}],
    }
    file = tmp_path / "annotations" / "instances_val2017.json"
    file.parent.mkdir()
    file.write_text(json.dumps(content))
    photo(tmp_path / "val2017" / "i.png")
    for given in (file, tmp_path):
        (found,) = sources.read(given)
        assert found.image.is_file()
        assert found.beside == {"instances of images that are not listed": 1}
    (tmp_path / "val2017").rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"1 images whose file is missing, as .*i\.png.*--images"):
        training_data.convert([file], tmp_path / "out")
    reading = DataOptions(images=str(tmp_path / "elsewhere"))
    report = training_data.convert([file], tmp_path / "out", TrainOptions(held_out=0.0), reading)
    assert report.images == 1
    with pytest.raises(ValueError, match="there is no folder"):
        list(sources.read(file, DataOptions(images="nowhere")))
