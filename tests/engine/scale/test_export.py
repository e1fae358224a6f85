"""export.py: results as a COCO file, one row in memory at a time."""

from __future__ import annotations

import json
import os

import pytest

from fastsam_plugins import io
from fastsam_plugins.scale import export, rows
from fastsam_plugins.scale.inputs import Item
from fastsam_plugins.scale.results import Results
from tests.engine.scale.test_results import manifest


@pytest.fixture
def results(tmp_path, dummy):
    """Two folders with an image each, and one that failed."""
    made = Results(str(tmp_path / "out"))
    made.begin(manifest(), new=False)
    items = [Item(f"/data/{n}.png") for n in ("one/a", "two/b", "two/a")]
    made.add(items, 2)
    for number, part in made.items([0, 1]):
        found = [rows.of_instances(*i, dummy(seed=number), [0.5] * 12) for i in part]
        if number == 0:
            found[1] = rows.of_error(*part[1], "it is cut short")
        made.write(number, found)
    return made


def test_the_file_is_what_segment_writes(results, tmp_path, dummy):
    assert export.coco(results, tmp_path / "coco.json") == (2, 24)
    from pathlib import Path

    named = [(Path("/data/one/a.png"), 0), (Path("/data/two/a.png"), 1)]
    expected = io.image_result.coco(
        io.ImageResult(path, None, dummy(seed=seed)) for path, seed in named
    )
    assert json.loads((tmp_path / "coco.json").read_text()) == expected


def test_texts_are_categories(results, tmp_path, dummy):
    row = rows.of_instances("/data/one/a.png", "", dummy(count=2), [0.5] * 2, ["dog", "cat"],
                            [0.25, 0.5])  # fmt: skip
    results.write(0, [row, rows.of_error("/data/two/b.png", "", "it is cut short")])
    export.coco(results, tmp_path / "coco.json")
    content = json.loads((tmp_path / "coco.json").read_text())
    assert [c["name"] for c in content["categories"]] == ["dog", "cat", "object"]
    assert [a.get("similarity") for a in content["annotations"][:3]] == [0.25, 0.5, None]


def test_results_and_what_they_were_made_of_are_not_written_over(results, tmp_path):
    truth = tmp_path / "instances.json"
    truth.write_text("{}")
    results.remember([str(truth)])
    results.remember([str(truth)])
    assert results.manifest().inputs == [str(truth)]
    (tmp_path / "link.json").symlink_to(truth)
    for path in (tmp_path / "out" / "manifest.json", truth, tmp_path / "link.json"):
        before = path.read_bytes()
        with pytest.raises(ValueError, match="would overwrite the input"):
            export.coco(results, path)
        assert path.read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="there a backslash is a slash")
def test_a_backslash_is_part_of_a_name(tmp_path, dummy):
    made = Results(str(tmp_path))
    made.begin(manifest(), new=False)
    items = [Item("/data/back\\slash.jpg"), Item("/data/back/slash.jpg")]
    made.add(items, 2)
    made.write(0, [rows.of_instances(*i, dummy(), [0.5] * 12) for i in items])
    export.coco(made, tmp_path / "coco.json")
    images = json.loads((tmp_path / "coco.json").read_text())["images"]
    assert [i["file_name"] for i in images] == ["back\\slash.jpg", "back/slash.jpg"]


def test_what_is_not_done_or_cannot_be_written_is_one_line(results, tmp_path):
    with pytest.raises(ValueError, match=r"has to end in \.json"):
        export.coco(results, tmp_path / "coco.txt")
    with pytest.raises(ValueError, match="holds no results of fastsam batch"):
        export.coco(Results(str(tmp_path / "none")), tmp_path / "coco.json")
    (tmp_path / "out" / "shards" / "part-000001.parquet").unlink()
    with pytest.raises(ValueError, match=r"1 shards of .* are not done"):
        export.coco(results, tmp_path / "coco.json")
    assert not (tmp_path / "coco.json").exists()
