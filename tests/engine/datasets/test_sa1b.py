"""A share of SA-1B out of its parts."""

from __future__ import annotations

import io
import json
import tarfile

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from pycocotools import mask as coco

from fastsam_plugins import FastSAM
from fastsam_plugins.cli.main import main
from fastsam_plugins.datasets import sa1b
from fastsam_plugins.io import atomic
from fastsam_plugins.options import SampleOptions
from fastsam_plugins.training.options import PRESETS, TrainOptions
from fastsam_plugins.training.train import train
from tests.conftest import disks

HALF = SampleOptions(share=0.5)


def pair(number):
    """An image and its JSON, as SA-1B has them."""
    name, shape = f"sa_{number}", (96, 128)
    masks = disks(shape, [(30 + number % 9, 40, 20), (90, 50, 25)])
    stream = io.BytesIO()
    Image.fromarray(np.where(masks.any(0), 200, 40).astype(np.uint8)).convert("RGB").save(
        stream, "JPEG"
    )
    annotations = []
    for i, mask in enumerate(masks):
        rle = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        annotations.append(
            {"id": i, "segmentation": {"size": list(shape), "counts": rle["counts"].decode()},
             "bbox": [1, 2, 3, 4], "area": int(mask.sum()), "predicted_iou": 0.9,
             "stability_score": 0.95, "crop_box": [0, 0, 128, 96], "point_coords": [[3.0, 4.0]]}
        )  # fmt: skip
    image = {"image_id": number, "width": 128, "height": 96, "file_name": f"{name}.jpg"}
    described = json.dumps({"image": image, "annotations": annotations}).encode()
    return {f"{name}.jpg": stream.getvalue(), f"{name}.json": described}


def write(path, files):
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.fixture
def parts(tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    for part in range(3):
        files = {}
        for number in range(part * 10, part * 10 + 10):
            files |= pair(number)
        write(folder / f"sa_{part:06d}.tar", files)
    return folder


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_the_sample_is_that_of_the_names_and_the_seed(parts, tmp_path):
    report = sa1b.sample(parts, tmp_path / "out", HALF)
    expected = [f"sa_{k}" for k in range(30) if sa1b.chosen(f"sa_{k}", 0.5, 0)]
    assert 8 < len(expected) < 22
    assert (report.images, report.parts) == (len(expected), 3)
    wanted = [f"{n}.{kind}" for n in expected for kind in ("jpg", "json")]
    assert names(tmp_path / "out") == sorted([*wanted, sa1b.RECORD])
    for number in (int(n[3:]) for n in expected):
        for name, content in pair(number).items():
            assert (tmp_path / "out" / name).read_bytes() == content


def test_a_larger_share_holds_a_smaller_one_and_a_seed_is_another_sample():
    def taken(*how):
        return {k for k in range(20_000) if sa1b.chosen(f"sa_{k}", *how)}

    assert len(taken(0.02, 0)) == pytest.approx(400, abs=60)
    assert taken(0.02, 0) < taken(0.1, 0)
    assert len(taken(0.02, 0) & taken(0.02, 1)) < 30


def test_an_interrupted_sample_goes_on_and_takes_what_arrived(parts, tmp_path, monkeypatch):
    out = tmp_path / "out"
    later = (parts / "sa_000002.tar").rename(tmp_path / "later.tar")
    count, written = [0], atomic.write_bytes

    def stop(*args, **how):
        count[0] += 1
        if count[0] == 7:
            raise KeyboardInterrupt
        written(*args, **how)

    with monkeypatch.context() as once:
        once.setattr(atomic, "write_bytes", stop)
        with pytest.raises(KeyboardInterrupt):
            sa1b.sample(parts, out, HALF)
    told = []
    sa1b.sample(parts, out, HALF, say=told.append)
    later.rename(parts / "sa_000002.tar")
    sa1b.sample(parts, out, HALF, say=told.append)
    assert [line.partition(":")[0] for line in told][-1] == "sa_000002.tar"
    sa1b.sample(parts, tmp_path / "at once", HALF)
    assert names(out) == names(tmp_path / "at once")
    assert sa1b.sample(parts, out, HALF, say=pytest.fail).parts == 3


def test_another_sample_or_other_files_are_left_alone(parts, tmp_path):
    sa1b.sample(parts, tmp_path / "out", HALF)
    for other in (SampleOptions(share=0.4), SampleOptions(share=0.5, seed=1)):
        with pytest.raises(ValueError, match=r"holds a sample of share 0.5, seed 0"):
            sa1b.sample(parts, tmp_path / "out", other)
    with pytest.raises(ValueError, match="holds no sample"):
        sa1b.sample(parts, parts, HALF)
    with pytest.raises(ValueError, match=r"holds no \.tar part"):
        sa1b.sample(tmp_path / "out", tmp_path / "new", HALF)


@pytest.mark.parametrize("damage", ["cut", "no json", "no tar"])
def test_a_damaged_part_is_named_and_costs_only_itself(parts, tmp_path, damage):
    bad = parts / "sa_000001.tar"
    whole = bad.read_bytes()
    if damage == "cut":
        bad.write_bytes(whole[: len(whole) * 3 // 4])
    elif damage == "no json":
        write(bad, {n: c for k in range(10, 20) for n, c in pair(k).items() if "json" not in n})
    else:
        bad.write_bytes(b"nothing" * 1000)
    out = tmp_path / "out"
    with pytest.raises(ValueError, match=r"sa_000001.tar \(.*get it again") as caught:
        sa1b.sample(parts, out, HALF)
    assert "\n" not in str(caught.value)
    bad.write_bytes(whole)
    sa1b.sample(parts, out, HALF)
    sa1b.sample(parts, tmp_path / "whole", HALF)
    assert names(out) == names(tmp_path / "whole")


def test_names_in_a_part_lead_nowhere_else(parts, tmp_path):
    write(parts / "sa_000003.tar", {"../../sa_5000.jpg": b"x", "../../sa_5000.json": b"{}"})
    sa1b.sample(parts, tmp_path / "out", SampleOptions(share=1.0))
    assert (tmp_path / "out" / "sa_5000.jpg").is_file()
    assert not list(tmp_path.glob("sa_5000*"))


def test_the_papers_recipe_goes_from_parts_to_a_network_that_loads(parts, tmp_path, capsys):
    """A dry run at a small size: the network is the smallest of its family."""
    out = tmp_path / "sample"
    done = CliRunner().invoke(main, ["sample-sa1b", str(parts), "-o", str(out), "--share", "0.3"])
    assert done.exit_code == 0, done.output
    assert f"images of 3 parts are in {out}" in done.output
    options = TrainOptions(**PRESETS["paper"]).replace(
        architecture="yolov8n-seg", imgsz=64, epochs=1, batch=2, workers=0
    )
    weights = train([out], tmp_path / "training", options, device="cpu")
    said = capsys.readouterr().err
    assert "The network has 3." in said
    assert "GFLOPs for an image of 64 x 64 px." in said
    model = FastSAM(weights, device="cpu")
    assert (model.network.reg_max, model.imgsz) == (26, 64)
    assert model.segment(np.zeros((64, 64, 3), np.uint8)).shape == (64, 64)
