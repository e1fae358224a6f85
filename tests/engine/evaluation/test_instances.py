"""Average precision against pycocotools and the reference values; boxes as prompts."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fastsam_plugins.cli.main import main
from fastsam_plugins.evaluation import files
from fastsam_plugins.evaluation.instances import NAMES, average_precision

# The evaluation that comes with the data: see its PROVENANCE.
REFERENCE = {
    "bbox": [
        0.5045806987249628, 0.6969727247299577, 0.5729816669904824, 0.5856257209410443,
        0.5193996948036719, 0.5013978986347466, 0.38681277964578054, 0.5936795762842003,
        0.595352982877607, 0.6398109626113442, 0.5664205978994309, 0.5642905982905982,
    ],
    "segm": [
        0.3195452758576433, 0.5622883972521636, 0.29892653412086784, 0.3873740315997838,
        0.31018272403369485, 0.3269339071005138, 0.2682297225711534, 0.41544868114906375,
        0.4168394992198818, 0.4694498622754236, 0.37675922666197265, 0.3814715099715099,
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def oracle(request):
    return request.getfixturevalue("real_data") / "oracle" / "coco"


def run(*words):
    return CliRunner().invoke(main, ["evaluate", "instances", *map(str, words)])


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_reference_values_are_met_to_ten_decimals(oracle, kind):
    truth = files.load_truth(oracle / "instances_val2014_100.json")
    results = files.load_results(oracle / f"instances_val2014_fake{kind}100_results.json")
    found = average_precision(truth, results, kind)
    assert list(found) == list(NAMES)
    assert np.abs(np.array(list(found.values())) - REFERENCE[kind]).max() < 1e-10


def test_the_command_measures_masks_beside_the_papers_table(oracle):
    words = (
        oracle / "instances_val2014_100.json",
        oracle / "instances_val2014_fakesegm100_results.json",
    )
    result = run(*words, "--against", "paper", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["AP"] == pytest.approx(REFERENCE["segm"][0], abs=1e-10)
    assert found["paper"]["table"] == 6
    assert found["paper"]["rows"][0] == pytest.approx(
        {"name": "AP", "measured": 31.95452758, "published": 37.9, "difference": -5.94547242},
        abs=1e-6,
    )


def test_boundaries_are_measured_more_strictly_than_masks(oracle):
    words = (
        oracle / "instances_val2014_100.json",
        oracle / "instances_val2014_fakesegm100_results.json",
    )
    found = json.loads(run(*words, "--iou-type", "boundary", "--json").stdout)
    assert 0.05 < found["AP"] < REFERENCE["segm"][0]
    assert found["AP/large"] < REFERENCE["segm"][5], "it is large objects that it tells apart"


def coco(images, annotations, **category):
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 7, "name": "coin", **category}],
    }


@pytest.fixture(scope="module")
def coins_truth(tmp_path_factory, model, coins):
    """The coins of a sample as FastSAM-n finds them, as ground truth, and their boxes."""
    folder = tmp_path_factory.mktemp("coins")
    Image.fromarray(coins).save(folder / "coins.png")
    seg = model.segment(coins, conf=0.4)
    height, width = seg.shape
    annotations, boxes = [], []
    for i, (rle, area) in enumerate(zip(seg.rles(), seg.areas.tolist(), strict=True)):
        x0, y0, x1, y1 = seg.boxes[i].tolist()
        box = [x0, y0, x1 - x0, y1 - y0]
        annotations.append({"id": i + 1, "image_id": 1, "category_id": 7, "segmentation": rle,
                            "bbox": box, "area": area, "iscrowd": 0})  # fmt: skip
        boxes.append({"image_id": 1, "category_id": 7, "bbox": box, "score": 1 - i / 100})
    image = {"id": 1, "file_name": "coins.png", "height": height, "width": width}
    (folder / "truth.json").write_text(json.dumps(coco([image], annotations)))
    (folder / "boxes.json").write_text(json.dumps(boxes))
    return folder


@pytest.mark.parametrize("mode", ["box_iou", "mask_iou"])
def test_boxes_prompt_and_keep_their_score_and_category(coins_truth, mode, tmp_path):
    written = tmp_path / "masks.json"
    result = run(coins_truth / "truth.json", coins_truth / "boxes.json", "--images", coins_truth,
                 "--boxes-mode", mode, "-o", written, "--json")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    boxes = json.loads((coins_truth / "boxes.json").read_text())
    masks = json.loads(written.read_text())
    assert found["detections"] == found["masks"] == len(boxes) == len(masks)
    assert found["AP"] > (0.999 if mode == "box_iou" else 0.9)
    for box, mask in zip(boxes, masks, strict=True):
        assert {k: v for k, v in mask.items() if k != "segmentation"} == box
    again = run(coins_truth / "truth.json", written, "--json")
    assert json.loads(again.stdout)["AP"] == found["AP"]
    assert found["AP"] == pytest.approx(by_pycocotools(coins_truth / "truth.json", masks), abs=1e-9)


@pytest.mark.parametrize("damage", ["gone", "damaged", "another size"])
def test_an_image_that_cannot_be_used_costs_itself_only(coins_truth, tmp_path, damage):
    """Its objects are not missed: nobody could look for them."""
    truth = json.loads((coins_truth / "truth.json").read_text())
    boxes = json.loads((coins_truth / "boxes.json").read_text())
    truth["images"].append({**truth["images"][0], "id": 2, "file_name": "bad.png"})
    truth["annotations"] += [{**a, "id": 1000 + a["id"], "image_id": 2}
                             for a in truth["annotations"]]  # fmt: skip
    boxes += [{**box, "image_id": 2} for box in boxes]
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    whole = (coins_truth / "coins.png").read_bytes()
    (tmp_path / "coins.png").write_bytes(whole)
    if damage == "damaged":
        (tmp_path / "bad.png").write_bytes(whole[:3000])
    elif damage == "another size":
        Image.new("RGB", (60, 50)).save(tmp_path / "bad.png")
    files_of = [[f / "truth.json", f / "boxes.json", "--images", f, "--json"]
                for f in (coins_truth, tmp_path)]  # fmt: skip
    without, found = (run(*words) for words in files_of)
    assert found.exit_code == 0, found.stderr
    assert "Left out: " in found.stderr
    assert "bad.png" in found.stderr
    figures, expected = json.loads(found.stdout), json.loads(without.stdout)
    assert (figures.pop("failed"), figures.pop("detections")) == (1, len(boxes))
    del expected["failed"], expected["detections"]
    assert figures == expected


def by_pycocotools(path, results):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(path)
        evaluation = COCOeval(truth, truth.loadRes([dict(r) for r in results]), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[0]


def test_lvis_is_known_by_its_frequencies(coins_truth):
    truth = json.loads((coins_truth / "truth.json").read_text())
    truth["categories"][0]["frequency"] = "r"
    truth["images"][0] |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    assert files.is_lvis(truth, coins_truth / "truth.json")
    results = [
        {k: a[k] for k in ("image_id", "category_id", "segmentation")} | {"score": 0.5}
        for a in truth["annotations"]
    ]
    found = average_precision(truth, results, "segm", lvis=True)
    assert found["AP"] == found["AP/rare"] == pytest.approx(1)
    assert np.isnan(found["AP/frequent"])


@pytest.mark.parametrize("lvis", [False, True])
def test_no_masks_score_nothing_of_what_there_is(coins_truth, lvis):
    truth = files.load_truth(coins_truth / "truth.json")
    if lvis:
        truth["categories"] = [{**truth["categories"][0], "frequency": "r"}]
        lists = {"neg_category_ids": [], "not_exhaustive_category_ids": []}
        truth["images"] = [{**image, **lists} for image in truth["images"]]
    found = average_precision(truth, [], "segm", lvis)
    none = {n for n, value in found.items() if np.isnan(value)}
    assert none == {"AP/small", "AP/large"} | (
        {"AP/frequent", "AP/common"} if lvis else {"AR/small", "AR/large"}
    )
    assert {value for n, value in found.items() if n not in none} == {0.0}


def test_a_size_that_no_object_has_is_no_figure(coins_truth, tmp_path):
    """Not the evaluator's -1, which beside the paper was -100 percent."""
    truth = json.loads((coins_truth / "truth.json").read_text())
    results = [{**a, "score": 0.5} for a in truth["annotations"]]
    assert all(32**2 < a["area"] < 96**2 for a in results)
    (tmp_path / "results.json").write_text(json.dumps(results))
    words = (coins_truth / "truth.json", tmp_path / "results.json", "--against", "paper")
    found = json.loads(run(*words, "--json").stdout)
    assert found["AP/large"] is None
    assert [row["name"] for row in found["paper"]["rows"]] == ["AP", "AP/medium"]
    printed = [line.split() for line in run(*words).stdout.splitlines()]
    assert [line[1:] for line in printed if line and line[0] == "AP/large"] == [["nan"]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["truth.json", "boxes.json"], "has boxes without masks: name their --images"),
        (["truth.json", "boxes.json", "-o", "x.json"], "--output goes with --images"),
        (["nowhere.json", "boxes.json"], "there is no file"),
        (["boxes.json", "boxes.json"], "is not a COCO ground truth"),
        (["truth.json", "coins.png"], "is not JSON"),
    ],
)
def test_what_cannot_be_measured_is_one_line(coins_truth, words, message, monkeypatch):
    monkeypatch.chdir(coins_truth)
    result = run(*words)
    assert result.exit_code == 1
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]


def test_a_negative_area_of_the_truth_is_named(coins_truth):
    truth = json.loads((coins_truth / "truth.json").read_text())
    truth["annotations"][3]["area"] = -8
    with pytest.raises(ValueError, match=r"the ground truth: annotations\[3\] has the area -8\.0"):
        average_precision(truth, [], "segm")


@pytest.mark.parametrize("strange", [987, "dog", "7"])
def test_a_category_that_the_truth_does_not_list_is_no_low_figure(coins_truth, tmp_path, strange):
    truth = json.loads((coins_truth / "truth.json").read_text())
    results = [{**a, "score": 0.5} for a in truth["annotations"]]
    results[2]["category_id"] = strange
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results))
    for more in ([], ["--images", coins_truth]):
        result = run(coins_truth / "truth.json", path, *more)
        assert result.exit_code == 1
        *_, line = result.stderr.strip().splitlines()
        assert line.startswith(f"Error: {path}: record 2 has category {strange!r}, which ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bbox": None}, "record 1 has no bbox"),
        ({"score": None}, "record 1 has no score"),
        ({"category_id": None}, "record 1 has no category_id"),
        ({"image_id": 9}, "has records of image 9, which"),
        ({"bbox": [9, 9, -4, 2]}, "record 1 has the bbox [9.0, 9.0, -4.0, 2.0], upside down: "),
    ],
)
def test_boxes_that_cannot_prompt_name_their_file(coins_truth, tmp_path, change, message):
    boxes = json.loads((coins_truth / "boxes.json").read_text())
    boxes[1] |= change
    path = tmp_path / "detections.json"
    path.write_text(json.dumps(boxes))
    result = run(coins_truth / "truth.json", path, "--images", coins_truth)
    assert result.exit_code == 1
    *_, line = result.stderr.strip().splitlines()  # after what runs the network
    assert line.startswith(f"Error: {path}")
    assert message in line
