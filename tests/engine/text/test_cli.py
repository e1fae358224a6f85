"""Text prompts through the command, on real pixels."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

from fastsam_plugins import io
from fastsam_plugins.masks import rle
from fastsam_plugins.masks import runs as R
from support.tiny_clip import FOLDER
from support.tiny_clip.scenes import scene
from tests.command import done, run

QUICK = ("--conf", "0.2", "--device", "cpu", "--clip", FOLDER)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def drawn():
    return scene(7, 1, (240, 320))


@pytest.fixture(scope="module")
def image(drawn, tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "scene.png"
    Image.fromarray(drawn.image).save(path)
    return path


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize(
    "how",
    [(), ("--features", "dense", "--dense-size", 448), ("--tiled", "--tile", 200)],
    ids=["crops", "dense", "windows"],
)
def test_words_find_their_objects(drawn, image, tmp_path, how) -> None:
    output = tmp_path / "found.json"
    asked = drawn.captions[:3]
    words = [w for text in asked for w in ("--text", text)]
    done("segment", image, "-o", output, *QUICK, *words, *how)
    content = json.loads(output.read_text())
    names = {c["id"]: c["name"] for c in content["categories"]}
    assert [names[a["category_id"]] for a in content["annotations"]] == asked
    for k, annotation in enumerate(content["annotations"]):
        runs, size = rle.decode(annotation["segmentation"])
        assert iou(R.to_bitmap(runs, size), drawn.masks[k]) > 0.5
        assert 0.2 < annotation["similarity"] <= 1
        assert annotation["score"] != annotation["similarity"]


def test_a_table_has_texts_and_similarities(drawn, image, tmp_path) -> None:
    output = tmp_path / "found.csv"
    asked = drawn.captions[:2]
    done("segment", image, "-o", output, *QUICK, "--top-k", 2,
         *(w for text in asked for w in ("--text", text)))  # fmt: skip
    rows = list(csv.DictReader(output.open()))
    assert [r["text"] for r in rows] == [asked[0]] * 2 + [asked[1]] * 2
    assert [r["prompt"] for r in rows] == ["0", "0", "1", "1"]
    similar = [float(r["similarity"]) for r in rows]
    assert similar[0] > similar[1]
    assert similar[2] > similar[3]


def test_without_a_text_there_is_none_in_the_table(image, tmp_path) -> None:
    output = tmp_path / "all.csv"
    done("segment", image, "-o", output, *QUICK)
    rows = list(csv.DictReader(output.open()))
    assert rows
    assert not {"text", "similarity"} & set(rows[0])


def test_negatives_and_threshold_keep_off(drawn, image, tmp_path) -> None:
    output = tmp_path / "found.json"

    def count(*words):
        done("segment", image, "-o", output, *QUICK, "--text", drawn.captions[0], *words)
        return len(json.loads(output.read_text())["annotations"])

    every = count("--top-k", 0)
    assert 1 <= count("--top-k", 0, "--negative", drawn.captions[1]) < every
    assert count("--threshold", 0.999) == 0


def test_the_overlay_says_what_was_found(drawn, image, tmp_path) -> None:
    output = tmp_path / "found.png"
    done("segment", image, "-o", output, *QUICK, "--text", drawn.captions[0])
    plain = io.read_image(output).astype(int)
    y, x = np.argwhere(drawn.masks[0]).mean(0).round().astype(int)
    # A dark plate with white letters in the middle of the object.
    plate = plain[y - 4 : y + 5, x - 12 : x + 13]
    assert (plate == 20).all(-1).mean() > 0.3
    assert (plate > 200).all(-1).any()
    elsewhere = ~drawn.masks[0]
    assert np.array_equal(plain[elsewhere][:50], drawn.image[elsewhere][:50])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--text", ""), r"text[0] is empty"),
        (("--negative", "a dog"), "negatives need a text"),
        (("--text", "a dog", "--point", "5,5"), "a text goes alone"),
        (("--text", "a dog", "--clip", "ViT-B-23/openai"), "did you mean ViT-B-32"),
        (("--text", "a dog", "--clip", "ViT-B-32"), "write NAME/TAG or NAME/FILE"),
        (("--text", "a dog", "--clip", "/nowhere"), "neither a file or folder"),
        (("--text", "a dog", "--clip", FOLDER.parent), "there is no open_clip_config.json in"),
        (("--text", "a dog", "--clip", f"ViT-B-32/{__file__}"), "it is damaged or holds code"),
        (("--text", "a dog", "--negative", ""), "negatives[0] is empty"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(image, tmp_path, words, said) -> None:
    output = tmp_path / "found.png"
    result = run("segment", image, "-o", output, *QUICK, *words)
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert not output.exists()


def test_a_missing_image_is_told_before_anything_is_loaded(tmp_path) -> None:
    result = run("segment", tmp_path / "none.png", "-o", tmp_path / "a.png", "--text", "a dog")
    assert result.exit_code == 1
    assert "there is no file" in result.stderr
