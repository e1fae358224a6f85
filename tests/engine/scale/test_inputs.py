"""inputs.py: what a person names, as images and prompts."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastsam_plugins import prompts as P
from fastsam_plugins.scale import inputs
from fastsam_plugins.scale.inputs import NOTHING, Item, asked, items, spelled
from tests.engine.scale.stored import put


def names(found):
    return [i.image.rpartition("/")[2] for i in found]


def test_folders_patterns_and_files_are_taken_in_order(photos):
    (photos / "deep").mkdir()
    (photos / "deep" / "z.jpg").write_bytes(b"x")
    (photos / "notes.md").write_text("no image")
    (photos / ".hidden.png").write_bytes(b"x")
    found = list(items([str(photos)]))
    assert names(found) == [f"{k}.png" for k in range(7)] + ["z.jpg"]
    assert all(i.image.startswith("/") and i.prompt == "" for i in found)
    assert names(items([f"{photos}/[56].png", f"{photos}/1.png"])) == ["5.png", "6.png", "1.png"]


def test_a_list_names_paths_from_where_it_lies(photos, tmp_path):
    (photos / "some.txt").write_text("2.png\n\n  4.png \n/else/where.png\ns3://bucket/a.png\n")
    expected = [f"{photos}/2.png", f"{photos}/4.png", "/else/where.png", "s3://bucket/a.png"]
    assert [i.image for i in items([str(photos / "some.txt")])] == expected
    (photos / "some.txt").write_bytes("\ufeff2.png\r\n4.png\r\n".encode())
    assert [i.image for i in items([str(photos / "some.txt")])] == expected[:2]


@pytest.fixture
def truth(photos):
    """A COCO file of three of the photos."""
    images = [{"id": k, "file_name": f"{k}.png", "width": 9, "height": 9} for k in (1, 2, 5)]
    path = photos / "truth.json"
    path.write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    return path


def test_coco_lists_images_and_a_detector_asks(photos, truth, tmp_path):
    assert names(items([str(truth)])) == ["1.png", "2.png", "5.png"]
    results = tmp_path / "boxes.json"
    boxes = [(1, [0, 1, 2, 3], 0.9), (5, [4, 4, 1, 1], 0.1), (1, [5, 5, 5, 5], 0.8)]
    results.write_text(
        json.dumps([{"image_id": i, "bbox": b, "score": s, "category_id": 1} for i, b, s in boxes])
    )
    found = list(items([str(truth)], results, least=0.5))
    assert asked(found[0].prompt) == P.BoxPrompt(((0, 1, 2, 4), (5, 5, 10, 10)))
    assert [i.prompt for i in found[1:]] == [NOTHING, NOTHING]
    with pytest.raises(ValueError, match=r"--prompts go by the ids of a COCO file, and .* is none"):
        list(items([str(photos / "1.png")], results))
    results.write_text(json.dumps([{"image_id": 77, "bbox": [0, 0, 1, 1], "score": 1}]))
    with pytest.raises(ValueError, match="--prompts have boxes of image 77"):
        list(items([str(truth)], results))


def test_a_coco_file_need_not_have_annotations(photos, truth):
    content = json.loads(truth.read_text())
    images = [{k: i[k] for k in ("id", "file_name")} for i in content["images"]]
    truth.write_text(json.dumps({"images": images}))
    assert names(items([str(truth)])) == ["1.png", "2.png", "5.png"]
    images[1]["id"] = images[0]["id"]
    truth.write_text(json.dumps({"images": images}))
    assert names(items([str(truth)])) == ["1.png", "2.png", "5.png"]
    results = photos / "boxes.json"
    results.write_text(json.dumps([{"image_id": images[0]["id"], "bbox": [0, 0, 1, 1]}]))
    with pytest.raises(ValueError, match=r"truth\.json has several images of one id"):
        list(items([str(truth)], results))


def test_parquet_has_paths_and_prompts(photos):
    table = {
        "filepath": ["1.png", "2.png", "5.png"],
        "boxes": [[[0.0, 1.0, 2.0, 3.0]], None, []],
        "points": [[[1.0, 2.0, 0.0]], None, None],
    }
    pq.write_table(pa.table(table), photos / "some.parquet")
    one, two, five = items([str(photos / "some.parquet")])
    assert one.image == f"{photos}/1.png"
    assert asked(one.prompt) == P.BoxPrompt(((0, 1, 2, 3),), P.PointPrompt(((1, 2),), (0,)))
    assert (two.prompt, five.prompt) == ("", NOTHING)
    pq.write_table(pa.table({"where": ["1.png"], "text": ["a dog; a cat"]}), photos / "b.parquet")
    (item,) = items([str(photos / "b.parquet")], column="where")
    assert asked(item.prompt, ["grass"]) == P.TextPrompt(("a dog", "a cat"), ("grass",))
    with pytest.raises(ValueError, match=r"name it with --image-column .there are: where, text."):
        list(items([str(photos / "b.parquet")]))


def test_what_is_no_prompt_in_parquet_is_one_line(photos):
    pq.write_table(pa.table({"path": ["1.png"], "boxes": [b"0 1 2 3"]}), photos / "bad.parquet")
    with pytest.raises(ValueError, match=r"bad\.parquet: what row 0 asks is no prompt .*bytes"):
        list(items([str(photos / "bad.parquet")]))


def test_prompts_spell_the_same_whatever_they_were():
    assert spelled() == spelled(boxes=[]) == ""
    text = spelled(boxes=[[0, 1, 2, 3]], points=[[1, 2]])
    assert spelled(**json.loads(text)) == text
    with pytest.raises(ValueError, match="a text goes alone"):
        asked(spelled(boxes=[[0, 0, 1, 1]], texts=["a dog"]))
    for boxes in ([1, 2, 3, 4], [[1, 2, 3]], [None]):
        with pytest.raises(ValueError, match="boxes must be lists of x1, y1, x2, y2"):
            asked(spelled(boxes=boxes))
    with pytest.raises(ValueError, match="points must be"):
        asked(spelled(points=[[1, 2, 3, 4]]))


@pytest.mark.parametrize("name", ["none.png", "*.nothing", "empty"])
def test_what_is_not_there_is_one_line(name, photos):
    (photos / "empty").mkdir()
    with pytest.raises(ValueError, match=r"there is no|no file is called|holds no images"):
        list(items([str(photos / name)]))


def test_a_table_of_another_kind_is_one_line_and_no_image(photos):
    (photos / "table.csv").write_text("image\n0.png\n")
    with pytest.raises(
        ValueError, match=r"table\.csv: paths are read from .*\.txt.* or .*\.parquet"
    ):
        list(items([str(photos / "table.csv")]))


def test_a_column_of_nothing_is_one_line(photos):
    with pytest.raises(
        ValueError, match="--image-column is of a Parquet file, and no input is one"
    ):
        list(items([str(photos)], column="x"))


def test_an_address_is_listed(store, photos):
    put(photos, "s3://bucket/photos")
    expected = [f"s3://bucket/photos/{k}.png" for k in range(7)]
    assert [i.image for i in items(["s3://bucket/photos"])] == expected
    assert [i.image for i in items(["s3://bucket/photos/[23].png"])] == expected[2:4]
    assert list(items(["s3://bucket/photos/2.png"])) == [Item(expected[2])]
    (photos / "some.txt").write_text("2.png\n")
    put(photos, "s3://bucket/photos")
    assert list(items(["s3://bucket/photos/some.txt"])) == [Item(expected[2])]


def test_other_programs_are_entry_points():
    import importlib.metadata

    known = importlib.metadata.entry_points(group=inputs.GROUP)
    assert "fiftyone" in known.names
