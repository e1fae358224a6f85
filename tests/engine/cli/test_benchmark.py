"""``fastsam benchmark`` prints a table, JSON and a picture."""

from __future__ import annotations

import json

from PIL import Image

from fastsam_plugins.paths import SAMPLES
from tests.command import run

QUICK = ("--imgsz", "96", "--rounds", "1")


def test_a_table_is_printed_and_a_picture_drawn(tmp_path):
    result = run(
        "benchmark", *QUICK, "--picture", tmp_path / "stages.png", "--compare", "ultralytics"
    )
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("3 images, 1 times each; ready after ")
    assert [line.split("  ")[0] for line in lines[3:9]] == [
        "letterbox", "network", "instances", "RLE", "image to RLE", "ultralytics",
    ]  # fmt: skip
    assert lines[-1].startswith("ultralytics takes ")
    assert Image.open(tmp_path / "stages.png").size[0] > 500


def test_json_holds_the_same(tmp_path):
    result = run("benchmark", SAMPLES / "coins.png", *QUICK, "--json")
    report = json.loads(result.stdout)
    assert report["network"].startswith("FastSAM-n by PyTorch f32 on cpu")
    assert (report["images"], report["imgsz"]) == (1, 96)
    assert set(report["stages"]) == {"letterbox", "network", "instances", "RLE", "image to RLE"}
    assert report["images_per_second"]["segment_many"] > 0
    assert report["peak_megabytes"] > 100


def test_what_cannot_be_measured_is_one_line(tmp_path):
    for words, message in (
        (("no.png",), "no.png"),
        (
            (SAMPLES / "coins.png", "--backend", "onnx", "--precision", "bf16"),
            "bf16 on cpu by onnx",
        ),
        (("--rounds", "0"), "0 is not in the range"),
        ((*QUICK, "--picture", "stages.json"), "--picture draws a .png, not stages.json"),
    ):
        result = run("benchmark", *words)
        assert result.exit_code != 0
        assert message in result.stderr
        assert "Traceback" not in result.stderr


def test_nothing_found_is_nothing_compared():
    nothing = (SAMPLES / "coins.png", *QUICK, "--conf", "0.999", "--compare", "ultralytics")
    assert run("benchmark", *nothing).stdout.endswith("it finds no masks to compare\n")
    report = json.loads(run("benchmark", *nothing, "--json").stdout)
    assert report["ultralytics"]["mean_iou_of_its_masks_with_ours"] is None
