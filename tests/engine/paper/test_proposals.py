"""Proposals beside a control, on COCO and on LVIS's form."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fastsam_plugins.evaluation.published import LVIS_BOXES, LVIS_MASKS
from fastsam_plugins.paper import proposals
from fastsam_plugins.paper.setting import Missing
from support.lvis import as_lvis
from tests.conftest import BUNDLED


def test_the_network_stands_beside_a_grid(setting):
    found = proposals.coco(setting)
    rows = {name.split(",")[0]: values for name, values in found.rows[:3]}
    assert rows["FastSAM-n"][2].value > 95, "the truth is its own"
    assert rows["uniform grid"][2].value < 60
    assert np.isnan(rows["uniform grid"][2][1:]).all(), "one image says nothing of others"
    assert (setting.pictures / "proposals.png").is_file()


@pytest.mark.parametrize("table", [proposals.coco, proposals.lvis_masks])
@pytest.mark.parametrize("damage", ["gone", "damaged", "another size"])
def test_an_image_that_cannot_be_used_is_in_no_row_and_told(setting, data, table, damage):
    whole = {name: [cell.value for cell in row] for name, row in table(setting).rows}
    for name in ("coco", "lvis"):
        file = data / name / "instances.json"
        truth = json.loads(file.read_text())
        truth["images"].append({**truth["images"][0], "id": 2, "file_name": "bad.png"})
        truth["annotations"] += [{**a, "id": 100 + a["id"], "image_id": 2}
                                 for a in truth["annotations"]]  # fmt: skip
        file.write_text(json.dumps(truth))
        bad = data / name / "images" / "bad.png"
        if damage == "damaged":
            bad.write_bytes((bad.parent / "coins.png").read_bytes()[:3000])
        elif damage == "another size":
            Image.new("RGB", (60, 50)).save(bad)
    found = table(setting)
    now = {name: [cell.value for cell in row] for name, row in found.rows}
    assert now.keys() == whole.keys()
    for name, row in now.items():
        assert np.allclose(row, whole[name], equal_nan=True)
    assert any("1 of 2 images" in m and "bad.png" in m for m in found.missing)


def test_controls_are_within_the_image_and_the_truth_is_all_of_it(setting):
    [item] = setting.labelled("coco").labelled
    boxes = proposals.grid(item)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= (384, 303)).all()
    assert len(boxes) <= proposals.MOST
    recall = proposals._recall([item], proposals.true_boxes)
    assert recall.average_recall(1000) == 1
    assert recall.average_recall(10) == pytest.approx(10 / len(item.masks))


def test_lvis_is_told_by_size_and_frequency(setting, data):
    boxes, masks = proposals.lvis_boxes(setting), proposals.lvis_masks(setting)
    of_masks = dict(zip(masks.header, masks.rows[0][1], strict=True))
    assert boxes.rows[0][1][0].value > 95
    assert of_masks["AR@1000/rare"].value == of_masks["AR@1000"].value > 95
    assert np.isnan(of_masks["AR@1000/common"].value)
    file = data / "lvis" / "instances.json"
    truth = json.loads(file.read_text())
    truth["categories"] = [{"id": 1, "name": "coin"}]
    file.write_text(json.dumps(truth))
    with pytest.raises(Missing, match="no frequencies"):
        proposals.lvis_boxes(setting)


def pycocotools_of(truth, results, kind):
    """AR@1000 of all, by size, and by frequency from what each object was matched by."""
    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO()
        gt.dataset = copy.deepcopy(truth)
        for annotation in gt.dataset["annotations"]:
            annotation["iscrowd"] = 0  # LVIS has no crowds, and does not say so
        gt.createIndex()
        evaluation = COCOeval(gt, gt.loadRes(copy.deepcopy(results)), kind)
        evaluation.params.useCats, evaluation.params.maxDets = 0, [1000]
        evaluation.evaluate()
        evaluation.accumulate()
    figures = dict(zip(("all", "small", "medium", "large"),
                       evaluation.eval["recall"][:, 0, :, 0].mean(0), strict=True))  # fmt: skip
    frequency = {c["id"]: c["frequency"] for c in truth["categories"]}
    matched = {letter: [] for letter in "fcr"}
    everything = list(evaluation.params.areaRng[0])
    for image in evaluation.evalImgs:
        if image and image["aRng"] == everything:
            for place, number in enumerate(image["gtIds"]):
                letter = frequency[gt.anns[number]["category_id"]]
                matched[letter].append((image["gtMatches"][:, place] > 0).mean())
    return figures | {letter: np.mean(found) for letter, found in matched.items()}


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_real_images_in_lvis_form_give_pycocotools_figures(kind, data, setting):
    source, folder = BUNDLED / "dev" / "coco", data / "lvis"
    truth = as_lvis(json.loads((source / "instances.json").read_text()))
    assert {c["frequency"] for c in truth["categories"]} == set("rcf")
    shutil.rmtree(folder)
    shutil.copytree(source / "images", folder / "images")
    (folder / "lvis_v1_val.json").write_text(json.dumps(truth))
    measure, table = {"bbox": (proposals.lvis_boxes, LVIS_BOXES),
                      "segm": (proposals.lvis_masks, LVIS_MASKS)}[kind]  # fmt: skip
    found = measure(setting)
    assert found.measured_on == "4 images of `lvis/`"
    of = dict(zip(found.header, found.rows[0][1], strict=True))
    results = list(proposals._records(setting, truth["images"], folder / "images"))
    if kind == "bbox":  # else pycocotools takes areas from the masks
        results = [{k: v for k, v in r.items() if k != "segmentation"} for r in results]
    expected = pycocotools_of(truth, results, kind)
    names = {"AR@1000": "all", "AR@1000/small": "small", "AR@1000/medium": "medium",
             "AR@1000/large": "large", "AR@1000/frequent": "f", "AR@1000/common": "c",
             "AR@1000/rare": "r"}  # fmt: skip
    assert of.keys() == set(table.columns)
    for name, estimate in of.items():
        assert estimate.value == pytest.approx(100 * expected[names[name]], abs=1e-9), name
    assert 5 < of["AR@1000"].low < of["AR@1000"].value < of["AR@1000"].high


def test_no_line_of_the_paper_has_the_colour_of_a_measured_one(setting, tmp_path, monkeypatch):
    drawn = []
    figure = proposals.overlay.figure
    monkeypatch.setattr(
        proposals.overlay, "figure", lambda *a: drawn.append(figure(*a)) or drawn[0]
    )
    item = setting.labelled("coco").labelled
    recall = proposals._recall(item, proposals.grid)
    proposals._draw({f"way {k}": recall for k in range(7)}, tmp_path / "a.png")
    lines = drawn[0][1][0].get_lines()
    looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in lines}
    assert len(looks) == len(lines) == 17
    assert {line.get_color() for line in lines[7:]} == {"0.5", "0"}
