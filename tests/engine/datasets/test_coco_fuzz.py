"""Whatever a file holds: it is used, or refused in one line that names it.

``FASTSAM_FUZZ=20000`` tries as many damaged files of each format.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsam_plugins.datasets import sources
from fastsam_plugins.evaluation import files, proposal_files
from fastsam_plugins.evaluation.instances import average_precision
from fastsam_plugins.training.options import TrainOptions
from fastsam_plugins.training.train import read_recipe
from tests.engine.datasets import mutations

COUNT = int(os.environ.get("FASTSAM_FUZZ", "500"))


def train_on(path):
    return list(sources.read(path))


def train_on_sa1b(path):
    return list(sources.read(path.parent))


def recall(iou_type, of_truth):
    def measure(path):
        good = path.with_name("good.json")
        pair = (path, good) if of_truth else (good, path)
        return proposal_files.evaluate_proposals(*pair, iou_type).summary()

    return measure


def precision(path):
    truth = files.load_truth(path.with_name("good.json"))
    results = [r for r in files.load_results(path) if "segmentation" in r]
    return average_precision(truth, results, "segm")


def import_into_fiftyone(path):
    """What FiftyOne's import asks of the engine."""
    content = files.load_truth(path)
    records = files.Records(content["annotations"], path)
    for image in content["images"]:
        shape = (int(image["height"]), int(image["width"]))
        for i in records.of(image["id"]):
            records.mask(i, shape)


USES = {
    "train": (mutations.truth, train_on),
    "sa1b": (mutations.sa1b, train_on_sa1b),
    "truth": (mutations.truth, recall("segm", True)),
    "results": (lambda: mutations.truth()["annotations"], recall("segm", False)),
    "boxes of truth": (mutations.truth, recall("bbox", True)),
    "boxes": (lambda: mutations.truth()["annotations"], recall("bbox", False)),
    "fiftyone": (mutations.truth, import_into_fiftyone),
    "recipe": (lambda: dataclasses.asdict(TrainOptions()), read_recipe),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "good.json").write_text(json.dumps(mutations.truth()))
    (folder / "sa1b").mkdir()
    return folder


def outcome(use, path, text):
    """Whether a file was used; anything but success and a line that names it fails."""
    if use is train_on_sa1b:
        path = path.parent / "sa1b" / "file.json"
    path.write_bytes(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of ids that are there twice
            use(path)
    except ValueError as error:
        refused = error
    else:
        return True
    said = str(refused)
    assert type(refused) is ValueError, repr(refused)
    assert "\n" not in said
    assert len(said) < 1500
    assert path.name in said, said
    return False


@pytest.mark.parametrize("name", USES)
def test_damaged_files_are_used_or_refused_in_one_line(name, folder):
    make, use = USES[name]
    tried = [
        outcome(use, folder / "bad.json", text)
        for text in mutations.damaged(make(), COUNT, seed=len(name))
    ]
    assert len(tried) == COUNT
    assert tried[0], "the file as it was"
    assert 0.02 < np.mean(tried) < 0.98


numbers = st.one_of(
    st.integers(-3, 90), st.integers(), st.floats(), st.sampled_from([2**63, 10**40, 1.0, 480.0])
)
scalars = st.none() | st.booleans() | numbers | st.text(max_size=5)
anything = st.recursive(
    scalars, lambda c: st.lists(c, max_size=3) | st.dictionaries(st.text(max_size=3), c, max_size=2)
)
small = st.floats(-300, 300) | st.integers(-300, 300)


def often(right):
    """The right thing most of the time."""
    return st.one_of(right, right, right, right, anything)


segmentations = often(
    st.lists(st.lists(small, max_size=8), max_size=2)
    | st.fixed_dictionaries(
        {"size": often(st.just([60, 80])), "counts": often(st.text("0123oPn`", max_size=9))
         | st.lists(st.integers(-1, 4800) | st.integers(), max_size=4)}
    )
)  # fmt: skip
ids = often(st.integers(1, 3) | st.sampled_from(["a", 1.0]))
records = st.fixed_dictionaries(
    {"image_id": ids},
    optional={
        "id": ids, "category_id": ids, "bbox": often(st.lists(small, min_size=4, max_size=4)),
        "area": often(numbers), "score": often(st.floats(0, 1)), "iscrowd": often(st.just(0)),
        "segmentation": segmentations,
    },
)  # fmt: skip
images = st.fixed_dictionaries(
    {"id": ids, "height": often(st.just(60)), "width": often(st.just(80))},
    optional={"file_name": often(st.text("ab./", max_size=6)), "source": anything},
)
datasets = st.fixed_dictionaries(
    {"images": often(st.lists(images, max_size=3)),
     "annotations": often(st.lists(records, max_size=4))},
    optional={"categories": often(st.lists(st.fixed_dictionaries({"id": ids}), max_size=2))},
)  # fmt: skip


@pytest.mark.parametrize("name", ["train", "truth", "boxes", "results", "fiftyone"])
def test_files_that_nobody_damaged_but_nobody_checked_either(name, folder):
    """Another way to make files: grown by their form, not cut from a good one."""
    use = USES[name][1]

    @given(st.lists(records, max_size=4) if name in ("boxes", "results") else datasets)
    @settings(max_examples=COUNT)
    def check(content):
        text = json.dumps(content).encode()
        outcome(use, folder / "grown.json", text)

    check()


def test_average_precision_takes_what_was_checked_or_says_why_not(folder):
    """What the reader lets through, the evaluator behind it may still refuse: in one line."""
    for text in mutations.damaged(mutations.truth()["annotations"], min(COUNT, 200), seed=5):
        (folder / "bad.json").write_bytes(text)
        try:
            found = precision(folder / "bad.json")
        except ValueError as error:
            lines = str(error).splitlines()
        else:
            lines = []
            assert all(math.isnan(v) or -1 <= v <= 1 for v in found.values())
        assert len(lines) <= 1
