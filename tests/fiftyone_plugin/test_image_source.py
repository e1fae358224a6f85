"""Images of FiftyOne datasets and saved views as the input of a batch."""

from __future__ import annotations

import pytest

from fastsam_plugins.scale.inputs import items


def test_a_dataset_and_a_saved_view_name_their_images_in_order(samples):
    files = samples.values("filepath")
    assert [i.image for i in items([f"fiftyone:{samples.name}"])] == files
    samples.save_view("last", samples.skip(1).sort_by("filepath"))
    found = [i.image for i in items([f"fiftyone:{samples.name}/last"])]
    assert found == sorted(files[1:])


@pytest.mark.parametrize(
    ("name", "said"), [("no-such", "there is no FiftyOne dataset no-such"),
                       ("{}/no", "has no saved view no .there are: none")],
)  # fmt: skip
def test_what_there_is_not_is_one_line(samples, name, said):
    with pytest.raises(ValueError, match=said):
        list(items([f"fiftyone:{name.format(samples.name)}"]))
