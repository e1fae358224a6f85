"""coco_writer.py: what is written is what the readers of others take."""

from __future__ import annotations

import doctest
import json

import numpy as np
from pycocotools.coco import COCO

from fastsam_plugins.datasets import coco, coco_writer
from fastsam_plugins.masks import rle
from fastsam_plugins.masks import runs as R
from tests.conftest import disks


def test_examples_in_the_docs_are_so():
    assert doctest.testmod(coco_writer).failed == 0


def test_pycocotools_and_our_reader_take_what_is_written(tmp_path):
    shape, writer = (40, 50), coco_writer.CocoWriter()
    masks = disks(shape, [(10, 10, 5), (30, 20, 9), (12, 30, 4)])
    for name, some in (("a.png", masks[:2]), ("b.png", masks[2:]), ("none.png", masks[:0])):
        image = writer.add_image(name, shape, plane=3)
        runs = [R.from_bitmap(m) for m in some]
        for mask, text in zip(runs, rle.encode(runs, shape), strict=True):
            x0, y0, x1, y1 = R.bounds(mask, shape[0])
            box = (x0, y0, x1 - x0, y1 - y0)
            writer.add_annotation(image, text, R.area(mask), box, "disk", score=0.5)
    path = tmp_path / "out.json"
    path.write_text(json.dumps(writer.content()))
    oracle = COCO(path)
    found = [oracle.annToMask(oracle.anns[i]) for i in oracle.getAnnIds()]
    assert np.array_equal(np.array(found, bool), masks)
    assert [len(oracle.getAnnIds(imgIds=[i])) for i in oracle.getImgIds()] == [2, 1, 0]
    assert [c["name"] for c in oracle.cats.values()] == ["disk"]
    content = coco.read(path)
    assert [i.file_name for i in content.images] == ["a.png", "b.png", "none.png"]
    ours = [R.to_bitmap(a.mask(shape), shape) for a in content.annotations]
    assert np.array_equal(ours, masks)
    assert {a.score for a in content.annotations} == {0.5}


def test_a_dataset_of_nothing_has_a_category_all_the_same():
    assert coco_writer.CocoWriter().content()["categories"] == [{"id": 1, "name": "object"}]
