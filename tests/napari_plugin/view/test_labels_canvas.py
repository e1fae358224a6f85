"""Objects of an image too large for an array."""

from __future__ import annotations

import json

import numpy as np

from napari_plugin.model import saving
from napari_plugin.model.blocks import Level
from tests.napari_plugin.view.large import look_at, middle, painted


def test_objects_of_a_large_image_are_an_arrays(huge, tmp_path):
    workspace, seg = huge.workspace, huge.seg
    huge.widget.commit_all()
    level = workspace.view.objects.labels.data[0]
    assert isinstance(level, Level)
    expected = painted(seg)
    numbers = np.asarray(level)
    assert np.array_equal(numbers > 0, expected > 0)
    pairs = np.unique(np.stack([numbers[expected > 0], expected[expected > 0]]), axis=1)
    assert len(pairs.T) == len(np.unique(expected)) - 1, "one id for each instance"
    assert not workspace.view.objects.labels.editable, "napari's brushes need an array"

    place = middle(huge, 7)
    look_at(huge, place)
    shown = workspace.view.objects.labels._slice.image.raw  # what napari read of it
    assert shown.size < 4 * 1300 * 900
    assert shown.any()
    label = int(numbers[round(place[0]), round(place[1])])
    huge.move(huge.image, place)
    assert workspace.actions.at_cursor() == label
    workspace.actions.delete()
    assert not (np.asarray(level) == label).any()
    workspace.actions.undo()
    assert np.array_equal(np.asarray(level), numbers)

    # Saved, and gone on with.
    workspace.session.prompt(
        (), workspace.session.prompts(()).with_point((place[1] + 0.5, place[0] + 0.5))
    )
    path = tmp_path / "session.json"
    huge.widget.panel.file.value = path
    huge.widget.save()
    huge.wait(lambda: path.exists() and "Saved in" in " ".join(m.message for m in huge.told))
    saved = saving.read(path)
    assert saved.labels[()].keys() == set(np.unique(numbers)) - {0}
    huge.widget.reopen()
    again = huge.workspace.view.objects.labels.data[0]
    assert isinstance(again, Level)
    assert again is not level
    assert np.array_equal(np.asarray(again), numbers)
    assert huge.workspace.session.prompts(()).points

    # In files.
    out = tmp_path / "objects.geojson"
    huge.workspace.view.objects.labels.save(str(out))
    features = json.loads(out.read_text())["features"]
    assert len(features) == len(saved.labels[()])
    import tifffile

    huge.workspace.view.objects.labels.save(str(tmp_path / "objects.tif"))
    assert np.array_equal(tifffile.imread(tmp_path / "objects.tif"), numbers)


def test_the_layer_may_be_chosen_again(huge):
    huge.widget.commit_all()
    first = huge.workspace.view.objects.labels
    numbers = np.asarray(first.data[0])
    huge.workspace.actions.attach(None)
    assert huge.workspace.view.objects.labels is None
    huge.workspace.actions.attach(first)
    assert huge.workspace.view.objects.labels is first
    assert huge.workspace.session.objects.next_id == numbers.max() + 1
    huge.workspace.session.delete([1])
    assert not (np.asarray(first.data[0]) == 1).any()
