"""Text prompts in FiftyOne, on real pixels and a real database."""

from __future__ import annotations

import fiftyone as fo
import pytest
from PIL import Image

from fastsam_plugins import SegmentOptions, TextOptions, WeightsError
from fastsam_plugins.masks import runs as R
from fiftyone_plugin import labels, segment_job
from fiftyone_plugin.model import FastSAMModel
from fiftyone_plugin.operators import SegmentFromPrompts
from fiftyone_plugin.prompts import Words
from fiftyone_plugin.storage import StoreOptions
from support.tiny_clip import FOLDER
from support.tiny_clip.scenes import scene

WORDING = TextOptions(clip=str(FOLDER))
SEGMENTING = SegmentOptions(conf=0.2)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def drawn():
    return [scene(7, k, (240, 320)) for k in (1, 2)]


@pytest.fixture
def scenes(drawn, tmp_path):
    """Two scenes and a file that is no image."""
    made = fo.Dataset()
    for k, s in enumerate(drawn):
        Image.fromarray(s.image).save(tmp_path / f"{k}.png")
        made.add_sample(fo.Sample(filepath=str(tmp_path / f"{k}.png")))
    (tmp_path / "bad.png").write_text("no image")
    made.add_sample(fo.Sample(filepath=str(tmp_path / "bad.png")))
    yield made
    made.delete()


def check(sample, field, drawn, texts):
    """That a field holds the drawn objects that the texts mean."""
    found = sample[field].detections
    shape = drawn.image.shape[:2]
    masks = [R.to_bitmap(m, shape) for m in labels.masks(sample[field], shape)]
    assert {d.label for d in found} <= set(texts)
    hits = 0
    for detection, mask in zip(found, masks, strict=True):
        truth = drawn.masks[drawn.captions.index(detection.label)]
        hits += (mask & truth).sum() / (mask | truth).sum() > 0.5
        assert -1 <= detection["similarity"] <= 1
        assert detection["similarity"] != detection.confidence
    return hits, len(found)


def test_apply_model_labels_what_a_text_means(scenes, drawn, model) -> None:
    texts = drawn[0].captions[:3]
    asked = FastSAMModel(model, SEGMENTING, text=texts, wording=WORDING)
    scenes[:1].apply_model(asked, label_field="asked", progress=False)
    assert check(scenes.first(), "asked", drawn[0], texts) == (3, 3)
    assert [d.label for d in scenes.first()["asked"].detections] == texts


def test_a_dataset_is_prompted_by_a_text_and_a_bad_image_costs_itself_only(
    scenes, drawn, model
) -> None:
    text = drawn[0].captions[0]
    ask = SegmentFromPrompts()
    report = ask(scenes, field="asked", text=text, clip=str(FOLDER), conf=0.2, batch=2)
    assert (report.done, len(report.failed)) == (3, 1)
    first, second, bad = scenes
    assert check(first, "asked", drawn[0], [text]) == (1, 1)
    assert [d.label for d in second["asked"].detections] == [text]
    assert bad["asked"] is None
    assert "bad.png" in bad["asked_error"]


def test_several_texts_are_divided_by_semicolons(scenes, drawn, model) -> None:
    texts = drawn[0].captions[1:3]
    words = Words.of(" ; ".join(texts) + ";", f"{drawn[0].captions[0]}", WORDING)
    assert words.texts == texts
    assert list(words.prompt.negatives) == drawn[0].captions[:1]
    *_, report = segment_job.from_prompts(
        scenes[:1], "asked", model, segmenting=SEGMENTING, words=words
    )
    assert report.instances == 2
    assert check(scenes.first(), "asked", drawn[0], texts) == (2, 2)


@pytest.mark.parametrize("storage", ["database", "polylines"])
def test_kept_proposals_answer_a_text_without_the_network(
    scenes, drawn, model, monkeypatch, storage
) -> None:
    good = scenes[:2]
    list(segment_job.everything(good, "proposals", model, SEGMENTING))

    def no_network(*_, **__):
        raise AssertionError("the network was asked")

    words = Words.of(drawn[0].captions[0], None, WORDING.replace(features="dense", dense_size=448))
    monkeypatch.setattr(model.backend, "run", no_network)
    *_, report = segment_job.from_prompts(
        good, "kept", model, proposals="proposals", words=words,
        storing=StoreOptions(storage=storage),
    )  # fmt: skip
    assert (report.done, report.failed) == (2, {})
    found = scenes.first()["kept"]
    one = (found.detections if storage == "database" else found.polylines)[0]
    assert one.label == drawn[0].captions[0]
    shape = drawn[0].image.shape[:2]
    mask = R.to_bitmap(labels.mask(one, shape), shape)
    assert (mask & drawn[0].masks[0]).sum() / (mask | drawn[0].masks[0]).sum() > 0.5
    seg = model_similarity(drawn[0], mask, words)
    assert one["similarity"] == pytest.approx(seg, abs=0.05)


def model_similarity(drawn, mask, words) -> float:
    from fastsam_plugins import Segmentation

    seg = Segmentation.from_masks(mask[None]).with_image(drawn.image)
    return float(seg.similarity(words.texts[0], words.options)[0])


def test_what_cannot_work_is_said_before_anything_is_written(scenes, model) -> None:
    scenes.add_sample_field("boxes", fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
    operator = SegmentFromPrompts()
    for params, kind, said in (
        ({"text": " "}, ValueError, r"text\[0\] is empty"),
        ({"text": ";;"}, ValueError, r"text\[0\] is empty"),
        ({"negatives": "a dog"}, ValueError, "negatives need a text"),
        ({"text": "a dog", "boxes": "boxes", "clip": str(FOLDER)}, ValueError, "goes alone"),
        ({"text": "a dog", "clip": "ViT-B-23/openai"}, WeightsError, "did you mean ViT-B-32"),
        ({"text": "a dog", "threshold": 3}, ValueError, "threshold must be between -1 and 1"),
    ):
        with pytest.raises(kind, match=said):
            operator(scenes, field="asked", **params)
    assert "asked" not in scenes.get_field_schema()
    with pytest.raises(ValueError, match="negatives need a text"):
        FastSAMModel(model, negatives="a dog")


def test_a_text_beside_prompt_fields_is_refused_for_each_sample(scenes, model) -> None:
    first = scenes.first()
    first["boxes"] = fo.Detections(detections=[fo.Detection(bounding_box=[0.1, 0.1, 0.5, 0.5])])
    first.save()
    del first
    asked = FastSAMModel(model, SEGMENTING, text="a star", wording=WORDING)
    scenes[:1].apply_model(asked, label_field="asked", box_prompt_field="boxes", progress=False)
    assert "a text goes alone" in scenes.first()["asked_fastsam_error"]
    assert "asked" not in scenes.get_field_schema()
