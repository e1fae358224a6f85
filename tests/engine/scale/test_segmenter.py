"""segmenter.py: rows of images are what the engine finds in them, whatever else there is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tifffile
import torch

from fastsam_plugins import read_image
from fastsam_plugins.options import (
    CleanOptions,
    FilterOptions,
    PromptOptions,
    RunOptions,
    TextOptions,
    TileOptions,
)
from fastsam_plugins.scale import places, rows
from fastsam_plugins.scale.inputs import NOTHING, Item, spelled
from fastsam_plugins.scale.segmenter import Segmenter
from tests.engine.scale.stored import SMALL


@pytest.fixture
def made(model, settings):
    """Rows of items, with other settings."""

    def make(items, **changes):
        worker = Segmenter(model, dataclasses.replace(settings, **changes), readers=2)
        threads = torch.get_num_threads()
        try:
            return list(worker.rows(items))
        finally:
            torch.set_num_threads(threads)

    return make


def test_every_image_has_a_row_in_order_and_a_bad_one_has_its_reason(photos, model, made):
    items = [Item(str(photos / f"{k}.png")) for k in range(7)] + [Item("/none/there.png")]
    found = made(items)
    assert [r["image"] for r in found] == [i.image for i in items]
    assert [r["error"] is not None for r in found] == [False] * 3 + [True] + [False] * 3 + [True]
    assert str(photos / "3.png") in found[3]["error"]
    assert found[7]["error"] == "there is no file /none/there.png"
    images = [read_image(photos / f"{k}.png") for k in (0, 1, 2, 4, 5, 6)]
    expected = list(model.segment_many(images, SMALL))
    for row, seg in zip([r for r in found if r["error"] is None], expected, strict=True):
        assert rows.masks(row) == seg.rles()
        assert row["scores"] == seg.scores.tolist()
        assert row["boxes"] == seg.boxes.tolist()
        assert len(seg)


def test_an_image_alone_is_as_it_is_among_others(photos, made):
    items = [Item(str(photos / f"{k}.png")) for k in (0, 1, 2)]
    among = made(items)
    assert [made([item])[0] for item in items] == among
    assert made(items, running=RunOptions(batch=1)) == among


def test_filters_and_cleaning_are_the_engines(photos, model, made):
    filtering = FilterOptions(min_score=0.3, nested="outer", border=False)
    cleaning = CleanOptions(max_hole=50, max_island=50, mask_iou=0.5, min_area=30)
    item = Item(str(photos / "0.png"))
    (row,) = made([item], filtering=filtering, cleaning=cleaning)
    every = model.segment(read_image(item.image), SMALL)
    expected = every.filter(filtering).clean(cleaning)
    assert 0 < len(expected) < len(every)
    assert row["areas"] == expected.areas.tolist()
    assert set(row["stability"]) == {None}  # of masks that were mended nobody knows it
    (plain,) = made([item], filtering=FilterOptions(min_stability=0.8))
    assert min(plain["stability"]) >= 0.8


def test_prompts_select_predict_and_may_be_wrong(photos, model, made):
    image = str(photos / "0.png")
    box, point = [20.0, 20.0, 60.0, 60.0], [40.0, 40.0]
    inside, wrong = spelled(boxes=[box]), spelled(boxes=[box[::-1]])
    asked = [inside, spelled(points=[point]), NOTHING, "", wrong]
    found = made([Item(image, a) for a in asked])
    every = model.segment_many([read_image(image)] * 2, SMALL)
    seg = next(every)
    every.close()
    assert rows.masks(found[0]) == seg.select(boxes=[box]).rles()
    assert rows.masks(found[1]) == seg.select(points=[point]).rles()
    assert [len(r["rles"]) for r in found[2:4]] == [0, len(seg)]
    assert [r["prompt"] for r in found] == asked
    assert all("its prompt cannot be used" in r["error"] for r in found[4:])
    (predicted,) = made([Item(image, asked[0])], prompting=PromptOptions(predict=True))
    assert rows.masks(predicted) == seg.predict(boxes=[box], multimask=False).rles() != []
    assert predicted["answers"] == [0]


def test_texts_are_asked_of_images_without_prompts_of_their_own(photos, made):
    pytest.importorskip("open_clip", reason="open_clip is not installed")
    wording = TextOptions(clip="support/tiny_clip", top_k=2)
    items = [Item(str(photos / "0.png")), Item(str(photos / "0.png"), spelled(texts=["a dog"]))]
    one, two = made(items, wording=wording, texts=("a coin", "a cat"))
    assert one["texts"] == ["a coin", "a coin", "a cat", "a cat"]
    assert one["answers"] == [0, 0, 1, 1]
    assert two["texts"] == ["a dog", "a dog"]
    assert np.all(np.diff(one["similarity"][:2]) <= 0)


def test_windows_are_read_as_they_are_looked_at(tmp_path, coins, model, made):
    large, cut = tmp_path / "large.tif", tmp_path / "cut.tif"
    tifffile.imwrite(large, coins, photometric="rgb", rowsperstrip=16)
    cut.write_bytes(large.read_bytes()[: large.stat().st_size // 2])
    tiling = TileOptions(tile=200)
    good, bad = made([Item(str(large)), Item(str(cut))], tiling=tiling)
    assert rows.masks(good) == model.segment_tiled(coins, SMALL, tiling).rles() != []
    assert str(cut) in bad["error"]


def test_images_of_a_store_are_told_by_their_address(store, photos, tmp_path, coins, made):
    names = ["0.png", "3.png", "none.png"]
    for name in names[:2]:
        places.write_bytes(f"s3://bucket/{name}", (photos / name).read_bytes())
    tifffile.imwrite(tmp_path / "large.tif", coins, photometric="rgb", rowsperstrip=16)
    places.write_bytes("s3://bucket/large.tif", (tmp_path / "large.tif").read_bytes())
    good, bad, gone = made([Item(f"s3://bucket/{name}") for name in names])
    (here,) = made([Item(str(photos / "0.png"))])
    assert {**good, "image": here["image"]} == here
    assert bad["error"].startswith("s3://bucket/3.png")
    assert gone["error"] == "there is no file s3://bucket/none.png"
    tiling = TileOptions(tile=200)
    (there,) = made([Item("s3://bucket/large.tif")], tiling=tiling)
    (here,) = made([Item(str(tmp_path / "large.tif"))], tiling=tiling)
    assert there["rles"] == here["rles"] != []


def test_a_store_that_is_away_is_no_fault_of_an_image(made, store, monkeypatch):
    places.write_bytes("s3://bucket/0.png", b"x")
    store.kill()
    monkeypatch.setattr(places, "PATIENCE", 0.0)
    with pytest.raises(places.StoreError, match="cannot be used"):
        made([Item("s3://bucket/0.png")])
