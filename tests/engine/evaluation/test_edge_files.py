"""Edge maps and human boundaries in files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from fastsam_plugins.evaluation.edge_files import evaluate_boundaries, read_map, read_truth


def write_truth(path, *drawn):
    savemat(path, {"groundTruth": cells(*({"Boundaries": d.astype(np.uint8)} for d in drawn))})


ONES = np.ones((20, 24))


def cells(*values):
    made = np.empty((1, len(values)), object)
    made[0, :] = values
    return made


def map_of(folders, **content):
    (folders / "maps" / "a.png").unlink()
    savemat(folders / "maps" / "a.mat", content)


@pytest.fixture
def folders(tmp_path):
    line = np.zeros((20, 24), bool)
    line[10] = True
    for name in ("truth", "maps"):
        (tmp_path / name).mkdir()
    write_truth(tmp_path / "truth" / "a.mat", line, line)
    Image.fromarray((line * 255).astype(np.uint8)).save(tmp_path / "maps" / "a.png")
    return tmp_path


def test_maps_of_every_kind_are_read(folders):
    line = read_map(folders / "maps" / "a.png")
    assert line.max() == 1
    assert [t.sum() for t in read_truth(folders / "truth" / "a.mat")] == [24, 24]
    Image.fromarray((line * 65535).astype(np.uint16)).save(folders / "b.png")
    savemat(folders / "c.mat", {"anything": line})
    twice = np.zeros((41, 49))
    twice[2::2, 2::2] = line
    savemat(folders / "d.mat", {"ucm2": twice})
    for name in ("b.png", "c.mat", "d.mat"):
        assert np.array_equal(read_map(folders / name), line), name


def test_the_command_prints_what_was_measured(folders):
    from click.testing import CliRunner

    from fastsam_plugins.cli.main import main

    words = ["evaluate", "boundaries", folders / "truth", folders / "maps", "--json"]
    result = CliRunner().invoke(main, [str(w) for w in words])
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["ODS"], found["OIS"], found["R50"], found["images"]) == (1, 1, 1, 1)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda f: (f / "maps" / "a.png").unlink(), "has no edge map a.png or a.mat"),
        (lambda f: (f / "truth" / "a.mat").unlink(), "has no .mat files"),
        (lambda f: (f / "truth" / "a.mat").write_text("no"), "cannot be read as a .mat file"),
        (lambda f: savemat(f / "truth" / "a.mat", {"x": 1}), "is no ground truth of BSDS"),
        (lambda f: (f / "maps" / "a.png").write_text("no"), "cannot be read as an image"),
        (
            lambda f: Image.new("RGB", (24, 20)).save(f / "maps" / "a.png"),
            "needs one whole number per pixel",
        ),
        (
            lambda f: Image.new("L", (23, 20)).save(f / "maps" / "a.png"),
            r"its ground truth \(20, 24\)",
        ),
        (lambda f: savemat(f / "truth" / "a.mat", {"groundTruth": "text"}), "is no ground truth"),
        (lambda f: write_truth(f / "truth" / "a.mat", ONES, ONES[:9]), "of several sizes"),
        (lambda f: write_truth(f / "truth" / "a.mat", np.zeros((20, 24, 3))), "Boundaries is not"),
        (lambda f: map_of(f, ucm2="text"), "ucm2 is not one finite number"),
        (lambda f: map_of(f, segs=cells(ONES, "text")), "segs is not one finite number"),
        (lambda f: map_of(f, anything=ONES * np.nan), "its array is not one finite number"),
        (lambda f: map_of(f, anything=ONES * 1j), "its array is not one finite number"),
        (lambda f: map_of(f, anything={"a": 1}), "its array is not one finite number"),
    ],
)
def test_what_cannot_be_compared_is_named(folders, harm, message):
    harm(folders)
    with pytest.raises(ValueError, match=message) as caught:
        evaluate_boundaries(folders / "truth", folders / "maps")
    assert str(folders) in str(caught.value)
    assert "\n" not in str(caught.value)
