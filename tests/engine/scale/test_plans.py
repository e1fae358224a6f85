"""plans.py: images in their order, each once, in shards that stay as they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsam_plugins.scale import plans
from fastsam_plugins.scale.inputs import Item

ITEMS = [Item(f"/photos/{k:012d}.jpg") for k in range(0, 3000, 7)]


@given(
    st.lists(st.lists(st.integers(0, 40), max_size=30), max_size=5),
    st.integers(1, 7),
)
def test_it_grows_by_what_is_new_in_order(runs, size):
    plan, seen = plans.schema().empty_table(), []
    for run in runs:
        before = plan
        plan, twice = plans.grown(plan, [ITEMS[k] for k in run], size)
        assert plan[: before.num_rows].equals(before)
        assert twice == len(run) - len(set(run))
        new = [k for k in dict.fromkeys(run) if k not in seen]
        seen += new
        assert plan["image"].to_pylist() == [ITEMS[k].image for k in seen]
        shards, first = plan["shard"].to_pylist(), before["shard"].to_pylist()
        after = first[-1] + 1 if first else 0
        assert shards == first + [after + k // size for k in range(len(new))]
    counts = [shards.count(k) for k in range(len(set(shards)))] if seen else []
    assert plans.ends(plan) == [sum(counts[: k + 1]) for k in range(len(counts))]


def test_many_images_stay_in_their_order():
    plan, twice = plans.grown(plans.schema().empty_table(), [*ITEMS, ITEMS[3]], 50)
    assert twice == 1
    assert plan["image"].to_pylist() == [i.image for i in ITEMS]


def test_one_image_is_asked_one_thing():
    other = Item(ITEMS[0].image, '{"boxes":[]}')
    with pytest.raises(ValueError, match="is listed several times, with different prompts"):
        plans.grown(plans.schema().empty_table(), [ITEMS[0], other], 2)
    plan, _ = plans.grown(plans.schema().empty_table(), ITEMS[:1], 2)
    with pytest.raises(ValueError, match=r"something else is asked of /photos/0+\.jpg than before"):
        plans.grown(plan, [other], 2)
