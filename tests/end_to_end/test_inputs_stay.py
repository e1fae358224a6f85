"""Whatever is run, the files it was given and their folder are the same afterwards."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from PIL import Image

from fastsam_plugins.cli import main
from fastsam_plugins.masks import rle
from fastsam_plugins.masks import runs as R
from fastsam_plugins.network import weights
from tests.conftest import disks

QUICK = ("--imgsz", "96", "--device", "cpu", "--conf", "0.05")
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Images of several kinds, a JPEG as some cameras leave it, labels, weights, a link."""
    root = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(0)
    masks = disks((64, 64), [(20, 20, 10), (45, 45, 12)])
    (root / "images").mkdir()
    (root / "labels").mkdir()
    images, annotations = [], []
    for number, ending in enumerate(["png", "jpg", "tif", "bmp", "png", "jpg"], 1):
        picture = rng.integers(0, 60, (64, 64, 3)) + 150 * masks.any(0)[..., None]
        file = root / "images" / f"{number}.{ending}"
        if ending == "tif":
            tifffile.imwrite(file, picture.astype(np.uint16) * 11)
        else:
            Image.fromarray(picture.astype(np.uint8)).save(file)
        Image.fromarray((masks[0] + 2 * masks[1]).astype(np.uint8)).save(
            root / "labels" / f"{number}.png"
        )
        images.append({"id": number, "file_name": file.name, "height": 64, "width": 64})
        for text in rle.encode([R.from_bitmap(m) for m in masks], (64, 64)):
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "category_id": 1, "score": 0.5,
                 "segmentation": text, "bbox": [5, 5, 30, 30], "area": 300, "iscrowd": 0}
            )  # fmt: skip
    cut = root / "images" / "2.jpg"
    cut.write_bytes(cut.read_bytes() + b"\0")  # does not end as a JPEG should
    truth = {"images": images, "annotations": annotations,
             "categories": [{"id": 1, "name": "object"}]}  # fmt: skip
    (root / "truth.json").write_text(json.dumps(truth))
    (root / "results.json").write_text(json.dumps(annotations))
    (root / "weights.safetensors").write_bytes(weights.BUNDLED.read_bytes())
    (root / "link.png").symlink_to(root / "images" / "1.png")
    return root


def state(root):
    """All there is of a folder: contents, times, links."""
    found = {}
    for path in sorted(root.rglob("*")):
        about = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        link = path.readlink() if path.is_symlink() else None
        times = about.st_mtime_ns if not path.is_dir() else 0
        found[path.relative_to(root)] = content, link, about.st_ino, about.st_mode, times
    return found


PICTURES = ("images/1.png", "images/2.jpg", "images/3.tif", "images/4.bmp", "link.png")
COMMANDS = {
    **{ending: ("segment", *PICTURES[:4], "-o", f"OUT/{{stem}}.{ending}", *QUICK)
       for ending in ("png", "json", "csv", "tif", "geojson")},
    "together": ("segment", *PICTURES, "-o", "OUT/all.json", *QUICK, "--box", "5,5,30,30"),
    "windows": ("segment", *PICTURES, "-o", "OUT/all.csv", *QUICK, "--tiled", "--tile", "64"),
    "edges": ("edges", *PICTURES[:4], "-o", "OUT", *QUICK),
    "average": ("average", "weights.safetensors", "weights.safetensors", "-o",
                "OUT/mean.safetensors"),
    "proposals": ("evaluate", "proposals", "truth.json", "results.json", "--plot", "OUT/a.png"),
    "instances": ("evaluate", "instances", "truth.json", "results.json", "--images", "images",
                  "-o", "OUT/masks.json", *QUICK),
    "everything": ("evaluate", "everything", "truth.json", ".", "--imgsz", "96"),
    "prompts": ("evaluate", "prompts", "truth.json", *QUICK),
    "models": ("models",),
    "demo": ("demo", "-o", "OUT"),
    "train": ("train", "truth.json", ".", "-o", "OUT", "--epochs", "1", "--imgsz", "64",
              "--batch", "2", "--workers", "0", "--device", "cpu", "--held-out", "0.3"),
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_inputs_stay(inputs, name, tmp_path, monkeypatch):
    if name == "demo":  # its own process: FiftyOne of the tests is in use here
        monkeypatch.setattr(main, "find_spec", lambda _: None)
    monkeypatch.chdir(inputs)
    before = state(inputs)
    words = [word.replace("OUT", str(tmp_path / "out")) for word in COMMANDS[name]]
    (tmp_path / "out").mkdir()
    result = CliRunner().invoke(main.main, words)
    assert result.exit_code == 0, result.output
    assert state(inputs) == before


@pytest.mark.parametrize(
    "words",
    [
        ("segment", "images/1.png", "link.png", "-o", "{stem}.png"),
        ("segment", "images/1.png", "-o", "link.png"),
        ("edges", "link.png", "-o", "images/../."),
        ("average", "weights.safetensors", "-o", "./weights.safetensors"),
        ("evaluate", "instances", "truth.json", "results.json", "--images", "images",
         "-o", "results.json"),
        ("evaluate", "instances", "truth.json", "results.json", "--images", "images",
         "-o", "images/../truth.json"),
        ("train", ".", "-o", "."),
        ("train", "truth.json", "-o", "images/.."),
    ],
    ids=lambda words: " ".join(words),
)  # fmt: skip
def test_what_would_write_over_inputs_is_refused(inputs, words, tmp_path, monkeypatch):
    monkeypatch.chdir(inputs)
    (inputs / "data").mkdir(exist_ok=True)  # a person's own, where a training would put its data
    before = state(inputs)
    result = CliRunner().invoke(main.main, words)
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    assert isinstance(result.exception, SystemExit)
    assert state(inputs) == before
