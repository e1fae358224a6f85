"""Session files that are not what they should be."""

from __future__ import annotations

import copy
import dataclasses
import json
import random
import tracemalloc

import numpy as np
import pytest

from napari_plugin.io import label_source
from napari_plugin.model import saving
from napari_plugin.model.edits import ArrayCanvas
from napari_plugin.model.session import Session, SessionError
from tests.napari_plugin.model.sessions import SHAPE, click, commit, stack
from tests.napari_plugin.model.test_saving import save

VALUES = [
    None, True, -1, 0, 1.5, 10**400, 2**31, 2**62, 2**63, 2**64, -(2**63), 1e308, float("nan"),
    float("inf"), "", "x" * 10_000, "\ud800", "é\0", [], {}, [[]], [[[]]], {"a": 1},
    "../../etc/passwd", "/etc/passwd", "NaN", [float("nan")] * 6, [1e300] * 6, [10**9, 10**9],
]  # fmt: skip


@pytest.fixture
def content(tmp_path):
    session = stack()
    commit(session, 70, 10, key=(0,))
    commit(session, 30, 30, key=(2,))
    session.recall((2,), 2)
    click(session, 50, 30, (1,))
    session.commit_outlines((1,))
    click(session, 50, 30, (1,))
    drawn = session.prompts((1,)).with_scribbles([((1.0, 2.0), (3.5, 4.0))])
    session.prompt((1,), dataclasses.replace(drawn, masks=((5, 9, 70, 71),)))
    save(session, tmp_path / "good.json")
    return json.loads((tmp_path / "good.json").read_text())


def places(value, at=()):
    yield at
    if isinstance(value, dict):
        for name in value:
            yield from places(value[name], (*at, name))
    elif isinstance(value, list):
        for k in range(min(len(value), 2)):
            yield from places(value[k], (*at, k))


def changed(content, at, value):
    if not at:
        return value
    made = copy.deepcopy(content)
    inner = made
    for name in at[:-1]:
        inner = inner[name]
    if value is KeyError:
        del inner[at[-1]]
    else:
        inner[at[-1]] = value
    return made


def opened(path):
    """Everything that is done with a file."""
    saved = saving.read(path)
    if saved.image.shape == (3, *SHAPE) and saved.image.plane == (1, 2):
        saving.restore(Session(ArrayCanvas(np.zeros((3, *SHAPE), np.int32))), saved)
    for _ in label_source.read(str(path)):
        pass


def refusal(path):
    """The one line that a file is refused with; None if it is not."""
    try:
        opened(path)
    except ValueError as error:
        text = str(error)
        assert text
        assert "\n" not in text
        assert len(text) < 1500
        return text
    return None


def test_any_mutated_file_is_opened_or_refused_in_one_line(content, tmp_path):
    path = tmp_path / "s.json"
    chance = random.Random(0)
    every = [
        (at, v) for at in places(content) for v in [*VALUES, KeyError] if at or v is not KeyError
    ]
    refused = 0
    tracemalloc.start()
    for at, value in every:
        path.write_text(json.dumps(changed(content, at, value)))
        refused += refusal(path) is not None
    for _ in range(300):  # several at once, and cut or flipped bytes
        made = content
        for at, value in chance.sample(every, 3):
            try:
                made = changed(made, at, value)
            except (KeyError, TypeError, IndexError):
                continue
        text = bytearray(json.dumps(made).encode())
        for _ in range(chance.randrange(4)):
            text[chance.randrange(len(text))] = chance.randrange(256)
        path.write_bytes(text[: chance.randrange(len(text))] if chance.random() < 0.3 else text)
        refused += refusal(path) is not None
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()
    assert refused > 1500, "or nothing was looked at"


@pytest.mark.parametrize(
    ("at", "value", "said"),
    [
        (("objects", 1, "score"), "high", "objects[1].score: expected number or null, got text"),
        (("objects", 1, "id"), 1, "objects[1].id: 1 is there twice"),
        (("objects", 0, "id"), -3, "objects[0].id: expected whole number >= 1"),
        (("labels", "0", 0, "id"), -1, 'labels["0"][0].id: expected whole number >= 1'),
        (("labels", "0", 0, "counts"), [2**62] * 4 + [4800], 'labels["0"][0].counts: expected'),
        (("labels", "0", 0, "size"), [10**9, 10**9], 'labels["0"][0].size: a mask of'),
        (("labels", "7"), [], 'labels["7"]: the image has no slice'),
        (("prompts", "1", "labels"), [1, 1], 'prompts["1"].labels: expected one for each point'),
        (("prompts", "1", "points", 0, 0), "a", 'prompts["1"].points[0][0]: expected number'),
        (("scenes", "0", "window"), [0, 0, 81, 60], 'scenes["0"].window: expected a part'),
        (("scenes", "0", "digest"), "../../up", 'scenes["0"].digest: expected text matching'),
        (("pictures",), {"0": "../../up.png"}, 'pictures["0"]: expected a file beside'),
        (("image", "plane"), [2, 1], "image.plane: expected two axes"),
    ],
)
def test_the_line_names_the_file_the_place_and_what_was_expected(
    content, tmp_path, at, value, said
):
    path = tmp_path / "s.json"
    path.write_text(json.dumps(changed(content, at, value)))
    with pytest.raises(SessionError) as error:
        saving.read(path)
    assert f"{path}: {said}" in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        b"", b" ", b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b"[" * 200_000 + b"]" * 200_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000, b"\0" * 100, b"\x80\x04cos\nsystem\n", b"null",
    ],
)  # fmt: skip
def test_what_is_no_json_of_ours_is_refused(text, tmp_path):
    (tmp_path / "s.json").write_bytes(text)
    with pytest.raises(SessionError, match="no session of FastSAM is in"):
        saving.read(tmp_path / "s.json")


@pytest.mark.parametrize("name", ["", "a\0b", "/dev/zero"])
def test_what_is_no_file_is_not_read(name, tmp_path):
    with pytest.raises(SessionError, match="cannot read"):
        saving.read(tmp_path / name)


def test_a_name_that_is_no_text_and_a_score_that_is_no_number_are_saved(tmp_path):
    import dataclasses

    from tests.napari_plugin.model.test_saving import RECORD

    session = stack()
    commit(session, 70, 10, key=(0,))
    known = session.objects.known[1]
    session.objects.known[1] = dataclasses.replace(known, score=float("inf"))
    record = dataclasses.replace(RECORD, name="\udcff" + "n" * 9000, path="/data/\udcff.tif")
    save(session, tmp_path / "s.json", record)
    saved = saving.read(tmp_path / "s.json")
    assert saved.image.name.startswith("?nnn")
    assert set(saved.labels[(0,)]) == {1}
