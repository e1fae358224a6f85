"""Curves of a training."""

from __future__ import annotations

from PIL import Image

from fastsam_plugins.training import curves

HEADER = "epoch,time,train/box_loss,train/seg_loss,train/cls_loss,train/dfl_loss"


def test_an_epoch_that_was_run_again_counts_once(tmp_path):
    table = tmp_path / "results.csv"
    table.write_text(f"{HEADER}\n1,1,4,4,4,4\n2,2,3,3,3,3\n2,1,2,2,2,2\n3,2,1,1,1,1\n")
    columns = curves.read(table)
    assert columns["epoch"] == [1, 2, 3]
    assert columns["train/seg_loss"] == [4, 2, 1]


def test_without_images_held_out_only_losses_are_drawn(tmp_path):
    table = tmp_path / "results.csv"
    table.write_text(f"{HEADER}\n1,1,4,4,4,4\n2,2,3,3,3,3\n")
    curves.draw(table, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size == (500, 400)
