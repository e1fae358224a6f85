"""A person's Labels layer that is committed into: what is theirs stays, and undo gives all back."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_plugin.model.painting import Object
from napari_plugin.view.features import Features
from tests.napari_plugin.conftest import SHAPE

AREAS = Counter({3: 30, 4: 40, 7: 70})
TABLES = {
    "none": pd.DataFrame(),
    "by index": pd.DataFrame({"index": [7, 9], "kind": ["tumour", "normal"], "n": [1, 2]}),
    "by place": pd.DataFrame({"kind": list("abcd"), "flag": [True, False, True, False]}),
    "our names": pd.DataFrame({"index": [7], "score": ["good"], "area": [1.5]}),
    "of us": pd.DataFrame(
        {"index": [0, 7], "score": [np.nan, 0.5], "area": [0, 9], "stability": [np.nan, 0.1]}
    ),
    "twice": pd.DataFrame({"index": [7, 7], "kind": ["a", "b"]}),
}
objects = st.lists(st.sampled_from([3, 4, 7]), unique=True).map(
    lambda ids: [Object(i, i / 10, 0.5) for i in ids]
)


@pytest.mark.parametrize("name", TABLES)
@given(st.lists(objects, max_size=4))
def test_rows_and_columns_stay_and_come_back_when_all_is_undone(name, steps):
    theirs = TABLES[name]
    table, now = Features(), theirs.copy()
    for known in steps:
        now = table.update(now, known, AREAS)
        for column in theirs:
            own = column not in ("score", "area", "stability") or name == "our names"
            if own:
                assert now[column].tolist()[: len(theirs)] == theirs[column].tolist()
        rows = {n: k for k, n in enumerate(now["index"].tolist())} if known else {}
        measured = "fastsam score" if name == "our names" else "score"
        assert [now[measured][rows[o.id]] for o in known] == [o.score for o in known]
        if name == "none" and known:
            assert now["index"].tolist() == [0, *(o.id for o in known)]
    pd.testing.assert_frame_equal(table.update(now, [], AREAS), theirs)


@pytest.mark.parametrize("name", TABLES)
def test_what_a_person_writes_into_the_table_meanwhile_stays(name):
    theirs, table = TABLES[name], Features()
    now = table.update(theirs.copy(), [Object(3), Object(4)], AREAS)
    now = now.assign(note=["said" if n == 3 else None for n in now["index"]])
    now = table.update(now, [Object(4)], AREAS)  # 3 was deleted
    assert now.set_index("index")["note"].get(3) == "said"
    now = table.update(now, [], AREAS)
    assert "note" in now
    assert "said" in now["note"].tolist()
    assert 4 not in now.get("index", pd.Series(dtype=int)).tolist()[len(theirs) :]
    replaced = pd.DataFrame({"index": [3], "mine": [1]})
    now = table.update(now, [Object(4, 0.5)], AREAS)
    now = table.update(replaced, [Object(4, 0.5)], AREAS)
    assert now["index"].tolist() == [3, 4]
    pd.testing.assert_frame_equal(table.update(now, [], AREAS), replaced)


KEPT = ("name", "opacity", "blending", "visible", "contour", "selected_label", "n_edit_dimensions",
        "contiguous", "brush_size", "preserve_labels", "mode", "editable")  # fmt: skip


def looks(layer):
    places = [np.asarray(getattr(layer, n)).tolist() for n in ("scale", "translate", "rotate")]
    colors = layer.get_color(7), layer.get_color(9)
    return [repr(getattr(layer, n)) for n in KEPT], places, layer.metadata.copy(), repr(colors)


@pytest.mark.timeout(600)
def test_a_persons_layer_keeps_all_that_is_theirs(plain):
    data = np.zeros(SHAPE, np.uint16)
    data[:6, :6], data[50:, :9] = 7, 9
    mine = plain.viewer.add_labels(
        data, name="mine", opacity=0.3, translate=(1, 2), metadata={"who": "me"},
        features=TABLES["by index"],
    )  # fmt: skip
    mine.contour, mine.selected_label, mine.brush_size = 2, 9, 4
    mine.new_colormap(7)
    plain.viewer.layers.selection.active = plain.workspace.view.prompts.points
    plain.widget.panel.objects.value = mine
    before = looks(mine), mine.features.copy(), data.copy()
    for place in ((20, 80), (30, 60)):
        plain.click(plain.image, place)
        plain.key("N")
    assert mine.features["kind"].tolist() == ["tumour", "normal", np.nan, np.nan]
    assert looks(mine) == before[0]
    plain.widget.workspace.session.merge([7, 10], ())
    plain.widget.workspace.session.delete([9], ())
    while plain.workspace.session.history.undo():
        pass
    assert looks(mine) == before[0]
    pd.testing.assert_frame_equal(mine.features, before[1])
    assert np.array_equal(mine.data, before[2])
    plain.key("Shift-U")


@pytest.mark.timeout(600)
def test_a_layer_that_cannot_be_written_to_is_refused(plain):
    data = np.zeros(SHAPE, np.uint8)
    data.flags.writeable = False
    for change in (lambda layer: None, lambda layer: setattr(layer, "editable", False)):
        layer = plain.viewer.add_labels(data, name="locked")
        change(layer)
        plain.widget.panel.objects.value = layer
        assert "cannot be written to" in str(plain.told[-1].message)
        assert plain.workspace.view.objects.labels is None
        data = np.zeros(SHAPE, np.uint8)
