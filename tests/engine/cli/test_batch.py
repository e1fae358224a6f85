"""The command ``fastsam batch``: what it makes, goes on with, refuses and exports."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fastsam_plugins.scale.results import Results
from tests.command import done, one_error, run
from tests.engine.scale.stored import hashes, put

QUICK = ("--imgsz", 160, "--conf", 0.2, "--device", "cpu", "--max-errors", 0.5)


def test_the_same_command_goes_on_and_export_is_what_segment_finds(photos, tmp_path):
    out = tmp_path / "out"
    said = done("batch", photos, "-o", out, "--shard", 2, *QUICK, "--json")
    first = json.loads(said.stdout)
    assert (first["images"], first["errors"], first["shards"]) == (7, 1, 4)
    before = hashes(out)
    (out / "shards" / "part-000001.parquet").unlink()
    again = done("batch", photos, "-o", out, "--shard", 2, *QUICK)
    assert "5 of 7 images are done already" in again.stderr
    assert "7 images, 1 of them could not be used" in again.stdout
    assert hashes(out) == before
    coco, expected = tmp_path / "coco.json", tmp_path / "expected.json"
    done("batch", "export", out, "-o", coco)
    done("segment", *sorted(photos.iterdir()), "-o", expected, *QUICK)
    assert json.loads(coco.read_text()) == json.loads(expected.read_text())


def test_other_options_are_refused_and_errors_count(photos, tmp_path):
    out = tmp_path / "out"
    done("batch", photos, "-o", out, *QUICK)
    line = one_error(run("batch", photos, "-o", out, *QUICK, "--conf", 0.3))
    assert line.startswith(f"Error: {out} was made with conf 0.2, and now it is 0.3")
    failed = run("batch", photos, "-o", out, *QUICK, "--max-errors", 0.1)
    assert failed.exit_code == 1
    assert (
        "1 of 7 images could not be used; the others are done. When they are mended"
        in failed.stderr
    )
    assert str(photos / "3.png") in failed.stderr
    done("batch", photos, "-o", out, *QUICK, "--conf", 0.3, "--new")
    for image in photos.iterdir():  # new images come to those that are there
        if image.name != "3.png":
            image.rename(image.with_name(f"more{image.name}"))
    assert len(hashes(out)) == 7
    done("batch", photos, "-o", out, *QUICK, "--conf", 0.3)
    assert len(hashes(out)) == 13


def test_images_that_were_mended_are_tried_again(photos, tmp_path):
    out = tmp_path / "out"
    done("batch", photos, "-o", out, "--shard", 2, *QUICK)
    (photos / "3.png").write_bytes((photos / "2.png").read_bytes())
    assert "1 of them could not be used" in done("batch", photos, "-o", out, *QUICK).stdout
    before = hashes(out)
    again = done("batch", photos, "-o", out, *QUICK, "--retry")
    assert "5 of 7 images are done already" in again.stderr
    assert again.stdout.startswith("7 images, ")
    after = hashes(out)
    assert [name for name in before if before[name] != after[name]] == ["3.png"]
    assert "7 of 7 images are done already" in done("batch", photos, "-o", out, *QUICK,
                                                    "--retry").stderr  # fmt: skip


def test_to_try_again_costs_nothing_that_is_done(photos, tmp_path):
    """The image may be gone by then, or be another one."""
    out = tmp_path / "out"
    done("batch", photos, "-o", out, *QUICK)
    before = hashes(out)
    (photos / "2.png").unlink()
    (photos / "1.png").write_bytes((photos / "0.png").read_bytes())
    (photos / "3.png").write_bytes((photos / "0.png").read_bytes())
    assert done("batch", photos, "-o", out, *QUICK, "--retry").stdout.startswith("7 images, ")
    after = hashes(out)
    assert [name for name in before if before[name] != after[name]] == ["3.png"]


def test_what_was_damaged_since_is_named_by_the_same_command(photos, tmp_path):
    out = tmp_path / "out"
    done("batch", photos, "-o", out, "--shard", 3, "--max-errors", 1, *QUICK)
    shard = out / "shards" / "part-000001.parquet"
    whole = shard.read_bytes()
    table = pq.read_table(shard)
    areas = pa.array(
        [[a + 1 for a in row] for row in table["areas"].to_pylist()], pa.list_(pa.int64())
    )
    pq.write_table(table.set_column(table.column_names.index("areas"), "areas", areas), shard)
    for words in (("batch", photos, "-o", out, *QUICK), ("batch", "export", out, "-o", "c.json")):
        assert "part-000001.parquet cannot be read" in one_error(run(*words))
    shard.unlink()
    done("batch", photos, "-o", out, "--shard", 3, "--max-errors", 1, *QUICK)
    assert shard.read_bytes() == whole


def test_prompts_that_nothing_answers_are_counted(photos, tmp_path):
    (photos / "3.png").unlink()
    names = sorted(p.name for p in photos.glob("*.png"))
    asked = [[], [[1.0, 1.0, 380.0, 200.0]], [[5000.0, 5.0, 5010.0, 9.0], [2.0, 2.0, 150.0, 150.0]]]
    table = {"image": names[:3], "boxes": asked}
    pq.write_table(pa.Table.from_pydict(table), photos / "t.parquet")
    result = done("batch", photos / "t.parquet", "-o", tmp_path / "out", *QUICK)
    assert "No instance answers 1 of the images' own prompts" in result.stderr
    again = done("batch", photos / "t.parquet", "-o", tmp_path / "out", *QUICK)
    assert "No instance answers 1 of" in again.stderr


def test_prompts_of_large_images_are_predicted_in_windows(tmp_path, coins):
    large = np.full((1500, 1900, 3), 90, np.uint8)
    height, width = coins.shape[:2]
    large[600 : 600 + height, 700 : 700 + width] = coins.reshape(height, width, -1)
    Image.fromarray(large).save(tmp_path / "large.png")
    boxes = [[829.0, 627.0, 874.0, 675.0], [886.0, 706.0, 928.0, 746.0]]
    table = {"image": ["large.png"], "boxes": [boxes]}
    pq.write_table(pa.Table.from_pydict(table), tmp_path / "t.parquet")
    words = ("--tiled", "--predict", *QUICK)
    done("batch", tmp_path / "t.parquet", "-o", tmp_path / "out", *words)
    (row,) = Results(str(tmp_path / "out")).rows()
    flags = [w for b in boxes for w in ("--box", ",".join(map(str, b)))]
    done("segment", tmp_path / "large.png", *flags, *words, "-o", tmp_path / "one.json")
    found = json.loads((tmp_path / "one.json").read_text())["annotations"]
    assert row["rles"] == [a["segmentation"]["counts"] for a in found]
    assert row["answers"] == [0, 1]
    assert min(row["scores"]) > 0.3


def test_an_empty_name_is_not_this_folder(photos, tmp_path):
    for words in (("batch", photos, "-o", ""), ("batch", "", "-o", tmp_path / "out")):
        assert "an empty path names nothing" in one_error(run(*words, *QUICK))


def test_new_deletes_nothing_without_a_clip(photos, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "nothing"))
    out = tmp_path / "out"
    done("batch", photos, "-o", out, *QUICK)
    before = {p: p.read_bytes() for p in out.rglob("*.*")}
    words = ("--new", "--text", "a dog", "--clip", "ViT-B-32/openai")
    assert "is not on this machine" in one_error(run("batch", photos, "-o", out, *QUICK, *words))
    assert {p: p.read_bytes() for p in out.rglob("*.*")} == before


def test_outputs_that_cannot_be_are_one_line(photos, tmp_path):
    (tmp_path / "file").write_text("mine")
    line = one_error(run("batch", photos, "-o", tmp_path / "file", *QUICK))
    assert "is a file: results go into a folder" in line
    line = one_error(run("batch", "export", tmp_path, "-o", "s3://bucket/coco.json"))
    assert "copy it afterwards" in line
    line = one_error(run("batch", photos, "-o", tmp_path / "out", *QUICK, "--predict",
                         "--decoder", "none.safetensors"))  # fmt: skip
    assert "none.safetensors" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tile", 100], "--tile needs --tiled"),
        (["--cores", 2], "--cores needs --engine ray"),
        (["--tiled", "--min-stability", 0.5], "--min-stability and --max-box-leak are not known"),
        (["--negative", "grass"], "negatives need a text"),
        (["--model", "/none.pt"], "no weights at /none.pt"),
    ],
)
def test_what_cannot_be_is_one_line_before_anything_is_done(words, said, photos, tmp_path):
    assert said in one_error(run("batch", photos, "-o", tmp_path / "out", *words))
    assert not (tmp_path / "out").exists()


def test_ctrl_c_twice_is_once(photos, tmp_path):
    words = [str(w) for w in ("batch", photos, "-o", tmp_path / "out", *QUICK)]
    said = []
    for wait in (0.6, 1.2, 1.8):  # while programs are loaded, the network, and later
        running = subprocess.Popen([sys.executable, "-m", "fastsam_plugins", *words],
                                   stderr=subprocess.PIPE, text=True)  # fmt: skip
        time.sleep(wait)
        for _ in range(3):
            running.send_signal(signal.SIGINT)
            time.sleep(0.05)
        said.append(running.communicate()[1])
    assert not any("Traceback" in text or "terminate" in text for text in said[1:]), said


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["kill", "Ctrl-C"])
def test_a_run_that_is_ended_goes_on(how, photos, tmp_path, coins):
    for k in range(60):
        Image.fromarray(coins[k:200]).save(photos / f"more{k}.png")
    out, whole = tmp_path / "out", tmp_path / "whole"
    words = [str(w) for w in ("batch", photos, "-o", out, "--shard", 4, *QUICK)]
    running = subprocess.Popen([sys.executable, "-m", "fastsam_plugins", *words],
                               stderr=subprocess.PIPE, text=True)  # fmt: skip
    results = Results(str(out))
    while len(results.done()) < 3:
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(how)
    _, said = running.communicate()
    there = len(results.done())
    if how == signal.SIGINT:
        assert running.returncode == 130
        assert f"Stopped: {4 * there} of 67 images are done" in said
    assert 3 <= there < 17
    done(*words)
    done("batch", photos, "-o", whole, "--shard", 50, *QUICK)
    assert hashes(out) == hashes(whole)


def test_a_store_in_and_out_that_is_killed_in_the_middle(store, photos, tmp_path, coins):
    for k in range(40):
        Image.fromarray(coins[k:200]).save(photos / f"more{k}.png")
    put(photos, "s3://bucket/photos")
    words = [str(w) for w in ("batch", "s3://bucket/photos", "-o", "s3://bucket/out", "--shard", 4,
                              *QUICK)]  # fmt: skip
    running = subprocess.Popen([sys.executable, "-m", "fastsam_plugins", *words],
                               stderr=subprocess.PIPE, text=True)  # fmt: skip
    shards = store.folder / "bucket"
    while len(list(shards.glob("*part-*"))) < 2:
        assert running.poll() is None, running.communicate()
        time.sleep(0.01)
    store.kill()
    time.sleep(0.5)
    store.start()
    _, said = running.communicate()
    assert running.returncode == 0, said
    done("batch", photos, "-o", tmp_path / "out", *QUICK)
    assert hashes("s3://bucket/out") == hashes(tmp_path / "out")
    assert len(hashes("s3://bucket/out")) == 47


def test_reduced_photos_are_what_segment_finds_in_them(coins, tmp_path):
    photo = tmp_path / "large.jpg"
    Image.fromarray(coins).resize((1536, 1212)).save(photo, quality=95)
    coco, expected, whole = (tmp_path / f"{name}.json" for name in ("coco", "expected", "whole"))
    done("batch", photo, "-o", tmp_path / "out", *QUICK, "--reduced")
    done("batch", "export", tmp_path / "out", "-o", coco)
    done("segment", photo, "-o", expected, *QUICK, "--reduced")
    done("segment", photo, "-o", whole, *QUICK)
    found = json.loads(coco.read_text())
    assert len(found["annotations"]) > 5
    assert found == json.loads(expected.read_text()) != json.loads(whole.read_text())
    line = one_error(run("batch", photo, "-o", tmp_path / "out", *QUICK))
    assert "was made with reduced True, and now it is False" in line
