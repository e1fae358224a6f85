"""COCO files: what is wrong with one is said in one line, by every command that reads it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from fastsam_plugins.cli.main import main
from fastsam_plugins.datasets import coco, sources
from fastsam_plugins.masks import rle
from fastsam_plugins.training import data
from tests.engine.datasets import mutations


def put(content, place, value):
    """Change one value, named as errors name it."""
    *inside, last = place
    for key in inside:
        content = content[key]
    content[last] = value


@pytest.fixture
def folder(tmp_path):
    """A ground truth with its two images."""
    for name in ("i1.png", "i2.png"):
        Image.fromarray(np.full((*mutations.SHAPE, 3), 90, np.uint8)).save(tmp_path / name)
    (tmp_path / "truth.json").write_text(json.dumps(mutations.truth()))
    return tmp_path


FAULTS = [
    (("annotations", 3, "bbox"), [1, 2, 3], "annotations[3].bbox: expected 4 numbers, got 3"),
    (("annotations", 0, "iscrowd"), "no", "annotations[0].iscrowd: expected "),
    (("annotations", 0, "image_id"), True, "annotations[0].image_id: expected "),
    (("annotations", 1, "segmentation"), 5, "annotations[1].segmentation: expected "),
    (("annotations", 1, "area"), float("nan"), "got NaN"),
    (("images", 0, "height"), -1, "images[0].height: expected a number >= 1"),
    (("images", 0, "width"), 10**12, "images[0].width: expected a number <= 16777216"),
    (("images",), 5, "images: expected a list, got a whole number"),
]


@pytest.mark.parametrize(
    "words",
    [
        ["train", "{}", "-o", "{}.out"],
        ["evaluate", "everything", "{}"],
        ["evaluate", "prompts", "{}"],
        ["evaluate", "proposals", "{}", "truth.json"],
        ["evaluate", "proposals", "{}", "truth.json", "--iou-type", "bbox"],
        ["evaluate", "instances", "{}", "truth.json"],
    ],
)
@pytest.mark.parametrize(("place", "value", "said"), FAULTS)
def test_commands_name_the_file_and_the_record(folder, words, place, value, said, monkeypatch):
    monkeypatch.chdir(folder)
    content = mutations.truth()
    put(content, place, value)
    (folder / "bad.json").write_text(json.dumps(content))
    result = CliRunner().invoke(main, [w.replace("{}", "bad.json") for w in words])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    (line,) = (x for x in result.stderr.splitlines() if "bad.json" in x)
    assert line.startswith("Error: bad.json: ")
    assert said in line


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_any_encoding_of_unicode_is_read(tmp_path, encoding):
    path = tmp_path / "truth.json"
    path.write_bytes(json.dumps(mutations.truth()).encode(encoding))
    assert len(coco.read(path).annotations) == 4


@pytest.mark.parametrize("name", ["everything", "prompts"])
def test_an_image_that_cannot_be_read_costs_itself_only(folder, name):
    (folder / "i2.png").write_bytes(b"no image")
    words = ["evaluate", name, str(folder / "truth.json"), "--json"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["images"], found["failed"]) == (1, 1)
    assert [x for x in result.stderr.splitlines() if "Left out" in x and "i2.png" in x]
    (folder / "i1.png").unlink()
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert "none of 2 images can be measured" in result.stderr


def test_boxes_of_an_image_that_cannot_be_read_cost_themselves_only(folder):
    (folder / "i2.png").write_bytes(b"no image")
    truth = str(folder / "truth.json")
    words = ["evaluate", "instances", truth, truth, "--images", str(folder), "--json"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["failed"] == 1
    assert "i2.png" in result.stderr


@pytest.mark.parametrize("name", ["truth.json", "i1.png", "link.json"])
def test_masks_are_never_written_over_what_is_read(folder, name):
    (folder / "link.json").hardlink_to(folder / "truth.json")
    before = {p: p.read_bytes() for p in folder.iterdir()}
    truth = str(folder / "truth.json")
    words = ["evaluate", "instances", truth, truth, "--images", str(folder)]
    result = CliRunner().invoke(main, [*words, "-o", str(folder / name)])
    assert result.exit_code == 1
    assert "would overwrite the input" in result.stderr
    assert before == {p: p.read_bytes() for p in folder.iterdir()}


def test_a_picture_is_never_written_over_what_is_read(folder):
    truth = str(folder / "truth.json")
    before = (folder / "truth.json").read_bytes()
    for words in (["proposals", truth, truth], ["everything", truth]):
        result = CliRunner().invoke(main, ["evaluate", *words, "--plot", truth])
        assert result.exit_code == 1
        assert "would overwrite the input" in result.stderr
    assert (folder / "truth.json").read_bytes() == before


def test_what_belongs_to_no_image_is_counted(folder):
    content = mutations.truth()
    content["annotations"][0]["image_id"] = 99
    content["images"].append({**content["images"][1], "file_name": "again.png"})
    (folder / "truth.json").write_text(json.dumps(content))
    with pytest.warns(UserWarning, match=r"1 of its images have the id of another"):
        report = data.convert([folder / "truth.json"], folder / "out")
    assert report.images == 2
    assert report.dropped["instances of images that are not listed"] == 1
    assert report.dropped["images that have the id of another"] == 1


def test_ids_may_be_texts_and_numbers_of_either_kind(folder):
    content = mutations.truth()
    content["images"][0]["id"] = 1.0
    content["images"][1]["id"] = "two"
    for annotation in content["annotations"]:
        annotation["image_id"] = {1: 1, 2: "two"}[annotation["image_id"]]
    (folder / "truth.json").write_text(json.dumps(content))
    assert [len(item.masks) for item in sources.read(folder / "truth.json")] == [2, 2]


@pytest.mark.parametrize(
    "counts",
    [
        [2**62, 2**62, 2**62, 2**62, 4800],  # which add up to 4800, 64 bits wide
        [2**63, 2**63, 4800],
        [-5, 4805],
        [0.5, 4799.5],
        [True, 4799],
        [[4800]],
        ["4800"],
        [10**30],
        "P" * 11 + "0",
        "日本",
        5,
        None,
    ],
)
def test_counts_that_do_not_add_up_exactly_are_refused(counts):
    with pytest.raises(ValueError, match="RLE"):
        rle.decode({"size": [60, 80], "counts": counts})


@pytest.mark.parametrize("size", [[True, 4800], ["60", 80], [60.5, 80], [2**40, 2**40], [-60, -80]])
def test_sizes_that_are_none_are_refused(size):
    with pytest.raises(ValueError, match="RLE"):
        rle.decode({"size": size, "counts": [4800]})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epochs": "many"}, "recipe.json: epochs: expected a whole number, got a text"),
        ({"epoch": 3}, "recipe.json: there is no option 'epoch'"),
        ({"epochs": 0}, "epochs"),
        ({"hours": 10**400}, "recipe.json"),
        ({"epochs": 10**400}, "epochs must be a whole number"),
    ],
)
def test_a_recipe_that_is_none_is_refused_by_name(tmp_path, change, said):
    (tmp_path / "recipe.json").write_text(json.dumps(change))
    result = CliRunner().invoke(main, ["train", "--resume", "-o", str(tmp_path)])
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "recipe.json" in line
    assert said in line
