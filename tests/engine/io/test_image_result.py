"""Results as rows and as COCO."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from fastsam_plugins import io
from fastsam_plugins.io import ImageResult, write_results
from fastsam_plugins.segmentation import Segmentation
from tests.conftest import disks

SHAPE = (60, 80)


def segmented(*paths):
    seg = Segmentation.from_masks(disks(SHAPE, [(20, 20, 9), (50, 30, 8)]))
    return [ImageResult(path, None, seg) for path in paths]


def test_csv_leaves_open_what_is_not_known(tmp_path):
    seg = Segmentation.from_masks(disks((20, 30), [(10, 10, 5)]))
    write_results(
        [ImageResult(tmp_path / "a.png", np.zeros((20, 30, 3), np.uint8), seg)], tmp_path / "a.csv"
    )
    with open(tmp_path / "a.csv", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["stability"], row["box_leak"], row["prompt"]) == ("", "", "")


@pytest.mark.parametrize("streamed", [False, True])
def test_images_of_one_name_stay_apart_in_json_and_csv(tmp_path, streamed):
    paths = [tmp_path / "plate1" / "1.png", tmp_path / "plate2" / "sub" / "1.png"]
    wanted = ["plate1/1.png", "plate2/sub/1.png"]
    for ending in ("json", "csv"):
        results = segmented(*paths)
        io.write_results(iter(results) if streamed else results, tmp_path / f"o.{ending}")
    content = json.loads((tmp_path / "o.json").read_text())
    assert [i["file_name"] for i in content["images"]] == wanted
    rows = list(csv.DictReader((tmp_path / "o.csv").open()))
    assert len({(r["image"], r["instance"]) for r in rows}) == len(rows) == 4
    assert sorted({r["image"] for r in rows}) == wanted


def test_images_of_one_folder_go_by_their_names(tmp_path):
    io.write_results(segmented(tmp_path / "a.png", tmp_path / "b.png"), tmp_path / "o.json")
    content = json.loads((tmp_path / "o.json").read_text())
    assert [i["file_name"] for i in content["images"]] == ["a.png", "b.png"]
