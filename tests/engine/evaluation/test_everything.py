"""Everything mode measured: the engine's own way against files through pycocotools."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from skimage.measure import label

from fastsam_plugins import read_image
from fastsam_plugins.cli.main import main
from tests.command import one_error, run
from tests.engine.evaluation.test_proposals import reference


def test_what_pycocotools_finds_is_found(data, model):
    """Three images of nuclei, every figure."""
    folder = data / "dev" / "nuclei"
    content = json.loads((folder / "instances.json").read_text())
    content["images"] = content["images"][:3]
    kept = {i["id"] for i in content["images"]}
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] in kept]
    from fastsam_plugins.datasets.sources import read
    from fastsam_plugins.evaluation.everything import PROPOSALS, measure

    labelled = list(read(folder / "instances.json"))[:3]
    found = measure(model, labelled).summary()
    results = []
    for image in content["images"]:
        seg = model.segment(read_image(folder / "images" / image["file_name"]), PROPOSALS)
        boxes = seg.boxes.astype(float)
        boxes[:, 2:] -= boxes[:, :2]
        each = zip(boxes.tolist(), seg.scores.tolist(), seg.rles(), strict=True)
        results += [
            {"image_id": image["id"], "category_id": 1, "bbox": b, "score": s, "segmentation": m}
            for b, s, m in each
        ]
    for kind, name in (("bbox", "box"), ("segm", "mask")):
        recall = reference(content, [dict(r) for r in results], kind).mean(0)
        expected = [*recall[0, 1:], *np.where(recall[1:, -1] < 0, np.nan, recall[1:, -1])]
        names = ["AR@10", "AR@100", "AR@1000", "AR@1000/small", "AR@1000/medium", "AR@1000/large"]
        ours = [found[f"{name} {n}"] for n in names]
        assert ours == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_the_command_prints_boxes_and_masks(tmp_path, coins, model):
    coin = model.segment(coins, max_det=1).mask(0)
    for kind, array in (("images", coins), ("masks", coin * 255)):
        (tmp_path / kind).mkdir()
        Image.fromarray(array.astype(np.uint8)).save(tmp_path / kind / "coins.png")
    picture = tmp_path / "recall.png"
    words = [
        "evaluate",
        "everything",
        str(tmp_path),
        "--json",
        "--plot",
        str(picture),
        "--pq",
        "0.4",
    ]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["images"], found["ground_truths"]) == (1, label(coin).max())
    assert found["mask AR@10"] > 0
    assert 0 < found["PQ"] < found["SQ"] <= 1, "of the coins all but one are not labelled"
    assert found["mask AR@1000/large"] is None, "there is none: JSON has no NaN"
    assert picture.is_file()
    assert list(found["curves"]) == ["boxes", "masks"]
    for kind, name in (("boxes", "box"), ("masks", "mask")):
        curves = found["curves"][kind]
        assert curves["AR"]["10"] == found[f"{name} AR@10"]
        assert len(curves["AR"]) == 1000
        assert curves["AR@1000"]["large"] is None
    assert "NaN" not in result.stdout


def test_what_cannot_be_measured_is_one_line_before_the_network_runs(tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        Image.new("L", (32, 32)).save(tmp_path / kind / "a.png")
    for more, message in (
        ((), "no image has a labelled instance"),
        (("--pq", "2"), "a score from 0 to 1, got 2"),
    ):
        error = one_error(run("evaluate", "everything", tmp_path, *more))
        assert message in error


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("images/a.png", "masks/a.png"),
        ("a.png", "a_masks.png"),
        ("a/images/a.png", "a/masks/1.png"),
    ],
)
def test_the_picture_never_replaces_what_was_read(tmp_path, image, label):
    for name, value in ((image, 90), (label, 1)):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        picture = np.zeros((32, 32), np.uint8)
        picture[8:20, 8:20] = value
        Image.fromarray(picture).save(tmp_path / "data" / name)
    for name in (image, label):
        before = (tmp_path / "data" / name).read_bytes()
        words = ["evaluate", "everything", str(tmp_path / "data")]
        result = CliRunner().invoke(main, [*words, "--plot", str(tmp_path / "data" / name)])
        assert result.exit_code == 1
        assert "would overwrite the input" in result.stderr
        assert (tmp_path / "data" / name).read_bytes() == before
