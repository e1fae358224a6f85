"""Sessions as files."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_plugin.model import saving
from napari_plugin.model.edits import ArrayCanvas
from napari_plugin.model.prompts import Prompts
from napari_plugin.model.saving import ImageRecord
from napari_plugin.model.session import Session, SessionError
from tests.napari_plugin.model.sessions import SHAPE, click, commit, stack

RECORD = ImageRecord("cells", "/data/cells.tif", (3, *SHAPE), (1, 2))


def save(session, path, record=RECORD):
    saving.write(*saving.snapshot(session, record), path)


@pytest.fixture
def worked():
    session = stack()
    commit(session, 70, 10, key=(0,))
    commit(session, 30, 30, key=(2,))
    session.delete(commit(session, 50, 30, key=(1,)))
    click(session, 50, 30, (2,))
    session.commit_outlines((2,))
    click(session, 30, 30, (1,), step=-1)
    return session


def test_a_session_is_reopened_as_it_was_left(worked, tmp_path):
    save(worked, tmp_path / "deep" / "s.json")
    saved = saving.read(tmp_path / "deep" / "s.json")
    assert saved.image == RECORD
    again = Session()
    again.attach(ArrayCanvas(np.zeros((3, *SHAPE), np.int32)), empty=True)
    saving.restore(again, saved)
    assert np.array_equal(again.objects.canvas.array, worked.objects.canvas.array)
    assert repr(again.objects.known) == repr(worked.objects.known)
    assert again.prompts((1,)) == worked.prompts((1,))
    assert {k: again.objects.areas[k] for k in (1, 2)} == {
        k: worked.objects.areas[k] for k in (1, 2)
    }
    assert saved.segmented == {(z,): ("digest", (0, 0, 80, 60)) for z in range(3)}
    assert again.objects.next_id == worked.objects.next_id == 5, (
        "the deleted object's id is not given again"
    )
    again.segmented = worked.segmented
    again.delete([1])
    assert not again.objects.canvas.array[0].any()


DRAWN = Prompts(masks=((5, 9, 70, 71),)).with_scribbles([((1.0, 2.0), (3.5, 4.0))], False)


def test_scribbles_and_rough_masks_are_open_again(worked, tmp_path):
    worked.prompt((0,), DRAWN.with_point((3.0, 4.0)))
    save(worked, tmp_path / "s.json")
    again = Session(ArrayCanvas(np.zeros((3, *SHAPE), np.int32)))
    saving.restore(again, saving.read(tmp_path / "s.json"))
    assert again.prompts((0,)) == worked.prompts((0,))


@pytest.mark.parametrize(
    "ends", [[], [5], [5, 5], [9, 5], [5, 9, 8, 12], [0, SHAPE[0] * SHAPE[1] + 1]]
)
def test_rough_masks_that_leave_the_slice_are_refused(worked, tmp_path, ends):
    worked.prompt((0,), DRAWN)
    save(worked, tmp_path / "s.json")
    content = json.loads((tmp_path / "s.json").read_text())
    content["prompts"]["0"]["masks"] = [ends]
    (tmp_path / "s.json").write_text(json.dumps(content))
    with pytest.raises(SessionError, match=r'prompts\["0"\].masks\[0\]: expected ends of runs'):
        saving.read(tmp_path / "s.json")


def test_masks_are_coco_rle_that_its_api_reads(worked, tmp_path):
    from pycocotools import mask as coco

    save(worked, tmp_path / "s.json")
    (one,) = json.loads((tmp_path / "s.json").read_text())["labels"]["2"]
    mask = coco.decode({"size": one["size"], "counts": one["counts"]})
    assert np.array_equal(mask * one["id"], worked.objects.canvas.array[2])


def test_a_plain_image_has_one_slice(tmp_path):
    session = Session(ArrayCanvas(np.eye(4, dtype=np.int32)))
    save(session, tmp_path / "s.json", ImageRecord("eye", None, (4, 4), (0, 1)))
    saved = saving.read(tmp_path / "s.json")
    again = Session(ArrayCanvas(np.zeros((4, 4), np.int32)))
    saving.restore(again, saved)
    assert np.array_equal(again.objects.canvas.array, np.eye(4))


def test_other_files_are_refused_in_one_line(worked, tmp_path):
    path = tmp_path / "s.json"
    with pytest.raises(SessionError, match=r"cannot read .*No such file"):
        saving.read(path)
    save(worked, path)
    content = json.loads(path.read_text())
    broken = [
        "nothing", "[]", '{"format": "another"}', json.dumps({**content, "version": 99}),
        json.dumps({**content, "labels": {"0": [{"id": 1, "size": [2, 2], "counts": "4"}]}}),
        json.dumps({**content, "labels": {"0": 5}}), json.dumps({**content, "image": None}),
        json.dumps({**content, "objects": [{"id": 1}]}),
    ]  # fmt: skip
    for text in broken:
        path.write_text(text)
        with pytest.raises(SessionError, match="no session of FastSAM is in") as error:
            saving.read(path)
        assert "\n" not in str(error.value)


def test_a_session_of_another_image_is_refused(worked, tmp_path):
    save(worked, tmp_path / "s.json")
    saved = saving.read(tmp_path / "s.json")
    for shape, message in (((3, 9, 9), "is of an image of"), ((1, *SHAPE), "other slices")):
        other = Session(ArrayCanvas(np.zeros(shape, np.int32)))
        with pytest.raises(SessionError, match=message):
            saving.restore(other, saved)
        assert not other.objects.canvas.array.any()
