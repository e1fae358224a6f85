"""Images of one name stay apart, and results meet the ground truth of the same image."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from fastsam_plugins import Segmentation
from fastsam_plugins.cli.main import main
from fastsam_plugins.evaluation import names
from tests.conftest import disks

SHAPE = (60, 80)


def truth_and_results(tmp_path, known, named, as_list=False):
    """Ground truth and perfect results of images, both numbered from 1 in their own order.

    Image k of ``known`` is the image of ``named`` with the same last letter before the dot.
    """
    masks = {n: disks(SHAPE, [(10 + 11 * k, 20, 6), (60, 30, 8)]) for k, n in enumerate("abcd")}

    def content(files, extra):
        images, annotations = [], []
        for number, name in enumerate(files, 1):
            letter = name.rpartition(".")[0][-1]
            size = {"height": SHAPE[0], "width": SHAPE[1]}
            images.append({"id": number, "file_name": name, **size})
            seg = Segmentation.from_masks(masks[letter])
            for text, area, box in zip(seg.rles(), seg.areas, seg.tight_boxes(), strict=True):
                x0, y0, x1, y1 = box.tolist()
                annotations.append(
                    {"id": len(annotations) + 1, "image_id": number, "category_id": 1,
                     "segmentation": text, "area": int(area), "iscrowd": 0,
                     "bbox": [x0, y0, x1 - x0, y1 - y0], **extra}
                )  # fmt: skip
        return {"images": images, "annotations": annotations,
                "categories": [{"id": 1, "name": "o"}]}  # fmt: skip

    found = content(named, {"score": 0.5})
    paths = tmp_path / "truth.json", tmp_path / "found.json"
    paths[0].write_text(json.dumps(content(known, {})))
    paths[1].write_text(json.dumps(found["annotations"] if as_list else found))
    return [str(p) for p in paths]


def evaluated(kind, paths):
    return CliRunner().invoke(main, ["evaluate", kind, *paths, "--json"])


@pytest.mark.parametrize("kind", ["proposals", "instances"])
@pytest.mark.parametrize(
    ("known", "named"),
    [
        (["d.png", "c.png", "b.png", "a.png"], ["a.png", "b.png", "c.png", "d.png"]),
        (["b.png", "a.png"], ["a.png"]),
        (["set/x_b.png", "set/x_a.png"], ["x_a.png", "x_b.png"]),
        (["x_b.png", "x_a.png"], ["./plate\\x_a.png", "plate/x_b.png"]),
        (["2/a.png", "1/b.png", "a.png", "b.png"], ["1/b.png", "a.png", "2/a.png", "b.png"]),
    ],
)
def test_images_are_matched_by_the_names_of_their_files(tmp_path, kind, known, named):
    """Recall was 0.0 without a word, of results that are the ground truth itself."""
    paths = truth_and_results(tmp_path, known, named)
    result = evaluated(kind, paths)
    assert result.exit_code == 0, result.stderr
    figure = json.loads(result.stdout)["AR@10"]
    assert figure == pytest.approx(len(named) / len(known) if kind == "proposals" else figure)
    assert figure == pytest.approx(len(named) / len(known))


@pytest.mark.parametrize("kind", ["proposals", "instances"])
def test_ids_count_where_results_name_no_image(tmp_path, kind):
    paths = truth_and_results(tmp_path, ["a.png", "b.png"], ["a.png", "b.png"], as_list=True)
    assert json.loads(evaluated(kind, paths).stdout)["AR@10"] == pytest.approx(1)


@pytest.mark.parametrize("kind", ["proposals", "instances"])
@pytest.mark.parametrize(
    ("known", "named", "said"),
    [
        (["a.png", "b.png"], ["other_a.png"], "lists no image of that name"),
        (["1/a.png", "2/a.png"], ["a.png"], "give it with its folder"),
        (["b.png", "a.png"], ["1/a.png", "2/a.png"], "both 'a.png' of"),
    ],
)
def test_names_that_do_not_tell_are_refused(tmp_path, kind, known, named, said):
    paths = truth_and_results(tmp_path, known, named)
    result = evaluated(kind, paths)
    assert result.exit_code == 1
    (line,) = result.stderr.strip().splitlines()
    assert said in line
    assert paths[0] in line
    assert paths[1] in line
    assert "leave the list of images out" in line


@pytest.mark.parametrize(
    ("one", "other", "count"),
    [
        ("/data/1/a.png", "1/a.png", 2),
        ("1\\a.png", "./1/a.png", 2),
        ("1/a.png", "2/a.png", 1),
        ("1/a.png", "1/b.png", 0),
        ("a.png", "aa.png", 0),
        ("", "a.png", 0),
    ],
)
def test_paths_are_compared_from_their_ends(one, other, count):
    assert names.shared_ending(one, other) == names.shared_ending(other, one) == count


def test_one_file_for_each_of_one_name_is_refused_with_both(tmp_path):
    for plate in ("plate1", "plate2"):
        (tmp_path / plate).mkdir()
        Image.fromarray(np.zeros((*SHAPE, 3), np.uint8)).save(tmp_path / plate / "1.png")
    paths = [str(tmp_path / p / "1.png") for p in ("plate1", "plate2")]
    result = CliRunner().invoke(main, ["segment", *paths, "-o", str(tmp_path / "{stem}.tif")])
    assert result.exit_code == 1
    assert all(p in result.stderr for p in paths)
