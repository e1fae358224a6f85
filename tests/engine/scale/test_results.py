"""results.py: plan, shards and manifest: whole or not there, and never of two kinds."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from fastsam_plugins.scale import places, rows
from fastsam_plugins.scale.inputs import Item
from fastsam_plugins.scale.manifest import Manifest, versions
from fastsam_plugins.scale.results import Results

ITEMS = [Item(f"/photos/{k}.png") for k in range(5)]


def manifest(**changes) -> Manifest:
    known = {
        "model": {"name": "n", "sha256": "0" * 64},
        "options": {"segment": {"conf": 0.4}},
        "running": {"backend": "torch", "precision": "f32", "device": "cpu"},
        "versions": versions(),
    }
    return Manifest(**{**known, **changes})


@pytest.fixture(params=["here", "store"])
def results(request, tmp_path):
    if request.param == "store":
        request.getfixturevalue("store")
        return Results("s3://bucket/out")
    return Results(str(tmp_path / "out"))


def fill(results, numbers, dummy):
    for number, items in results.items(numbers):
        found = [rows.of_instances(*i, dummy(seed=number), [0.5] * 12) for i in items[1:]]
        results.write(number, [rows.of_error(*items[0], "bad"), *found])


def test_shards_are_made_of_the_plan_and_counted(results, dummy):
    assert results.manifest() is None
    results.begin(manifest(), new=False)
    assert results.manifest() == manifest()
    assert results.add(ITEMS, 2) == 0
    assert results.missing() == [0, 1, 2]
    fill(results, [1], dummy)
    again = Results(results.address)
    assert (again.done(), again.missing()) == ([1], [0, 2])
    assert [list(i) for _, i in again.items([2, 0])] == [ITEMS[4:], ITEMS[:2]]
    assert (again.size([0, 2]), again.size([])) == (3, 0)
    with pytest.raises(ValueError, match=r"2 shards of .* are not done"):
        again.check_done()
    fill(again, [0, 2], dummy)
    again.check_done()
    assert [r["image"] for r in again.rows()] == [i.image for i in ITEMS]
    counts = again.counts(again.done())
    assert (counts.images, counts.errors, counts.instances, counts.first) == (5, 3, 24, "bad")


def test_new_images_come_into_shards_of_their_own(tmp_path):
    results = Results(str(tmp_path))
    results.begin(manifest(), new=False)
    assert results.add([*ITEMS[:3], ITEMS[0]], 2) == 1
    assert Results(str(tmp_path)).add(ITEMS, 3) == 0
    again = Results(str(tmp_path))
    assert [n for n, _ in again.items(again.missing())] == [0, 1, 2]
    assert [i for _, part in again.items([0, 1, 2]) for i in part] == ITEMS


def test_one_image_is_asked_one_thing(tmp_path):
    results = Results(str(tmp_path))
    with pytest.raises(ValueError, match="is listed several times, with different prompts"):
        results.add([ITEMS[0], Item(ITEMS[0].image, '{"boxes":[]}')], 2)
    results.add(ITEMS[:1], 2)
    with pytest.raises(ValueError, match=r"something else is asked of /photos/0\.png than before"):
        results.add([Item(ITEMS[0].image, '{"boxes":[]}')], 2)
    with pytest.raises(ValueError, match="is not UTF-8"):
        results.add([Item("/photos/\udcff.png")], 2)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"options": {"segment": {"conf": 0.3}}}, r"conf 0\.4, and now it is 0\.3"),
        ({"model": {"name": "n", "sha256": "1" * 64}}, "sha256 '0000"),
        (
            {"running": {"backend": "openvino", "precision": "auto", "device": "cpu"}},
            "backend 'torch', and now",
        ),
        ({"versions": {}}, ""),
        ({"running": {"backend": "auto", "precision": "auto", "device": "cpu"}}, ""),
    ],
)
def test_others_are_refused_unless_new(other, said, tmp_path, dummy):
    results = Results(str(tmp_path))
    results.begin(manifest(), new=False)
    results.add(ITEMS, 2)
    fill(results, [0, 1, 2], dummy)
    if not said:
        results.begin(manifest(**other), new=False)
        assert results.manifest() == manifest()
        return
    with pytest.raises(ValueError, match=f"was made with {said}.*--new"):
        results.begin(manifest(**other), new=False)
    assert results.done() == [0, 1, 2]
    results.begin(manifest(**other), new=True)
    assert (results.done(), results.plan.num_rows) == ([], 0)
    assert results.manifest() == manifest(**other)


def test_shards_of_nobody_are_left_alone(tmp_path, dummy):
    results = Results(str(tmp_path))
    results.add(ITEMS, 5)
    fill(results, [0], dummy)
    with pytest.raises(ValueError, match=r"holds shards or a plan and no manifest\.json"):
        results.begin(manifest(), new=False)
    assert results.done() == [0]


def test_shards_without_the_plan_that_they_are_of_are_not_guessed_at(tmp_path, dummy):
    results = Results(str(tmp_path))
    results.begin(manifest(), new=False)
    results.add(ITEMS, 1)
    fill(results, [0, 1, 2], dummy)
    (tmp_path / "plan.parquet").unlink()
    again = Results(str(tmp_path))
    with pytest.raises(ValueError, match=r"plan\.parquet is gone.*--new"):
        again.add([Item("/photos/0a.png"), *ITEMS], 1)
    assert again.done() == [0, 1, 2]


@pytest.mark.parametrize("number", [1, 7])
def test_a_shard_of_other_images_is_not_counted(number, tmp_path, dummy):
    results = Results(str(tmp_path))
    results.begin(manifest(), new=False)
    results.add(ITEMS, 2)
    fill(results, [0, 1, 2], dummy)
    places.write_bytes(results.shard(number), places.read_bytes(results.shard(0)))
    with pytest.raises(ValueError, match=f"part-00000{number}.*(other images|no shard of this)"):
        results.counts(results.done())
    with pytest.raises(ValueError, match=f"part-00000{number}"):
        results.check_done()


def test_files_of_another_program_stay(tmp_path, dummy):
    (tmp_path / "manifest.json").write_text('{"name": "my pwa"}')
    with pytest.raises(ValueError, match=r"manifest\.json seems to be another program's"):
        Results(str(tmp_path)).begin(manifest(), new=True)
    assert (tmp_path / "manifest.json").read_text() == '{"name": "my pwa"}'
    (tmp_path / "manifest.json").unlink()
    table = pyarrow.table({"x": [1]})
    pq.write_table(table, tmp_path / "plan.parquet")
    with pytest.raises(ValueError, match=r"plan\.parquet is no plan of fastsam batch"):
        Results(str(tmp_path)).begin(manifest(), new=False)
    assert [p.name for p in tmp_path.iterdir()] == ["plan.parquet"]


def test_failed_images_are_known_by_their_shards(results, dummy):
    results.begin(manifest(), new=False)
    results.add(ITEMS, 2)
    fill(results, [0, 2], dummy)
    row = rows.of_instances(ITEMS[2].image, "", dummy(), [0.5] * 12)
    results.write(1, [row, {**row, "image": ITEMS[3].image}])
    assert results.failed() == [0, 2]


def test_the_same_rows_are_the_same_bytes(tmp_path, dummy):
    one, two = Results(str(tmp_path / "1")), Results(str(tmp_path / "2"))
    for results in (one, two):
        results.add(ITEMS, 5)
        fill(results, [0], dummy)
    first, second = (places.read_bytes(r.shard(0)) for r in (one, two))
    assert first == second


def test_a_damaged_shard_is_one_line_that_says_what_to_do(tmp_path, dummy):
    results = Results(str(tmp_path))
    results.add(ITEMS, 5)
    fill(results, [0], dummy)
    with open(results.shard(0), "r+b") as file:
        file.truncate(100)
    for use in (lambda: list(results.rows()), lambda: results.counts([0])):
        with pytest.raises(ValueError, match=r"part-000000\.parquet cannot be read .*: delete it"):
            use()


def test_what_is_done_again_keeps_what_was_done(results, dummy):
    results.begin(manifest(), new=False)
    results.add(ITEMS, 2)
    fill(results, [0], dummy)
    ((_, items),) = results.items([0])
    fresh, kept = results.fresh(0, items)
    assert (fresh, list(kept)) == (items[:1], [items[1].image])
    assert results.fresh(1, ITEMS[2:4]) == (ITEMS[2:4], {}), "it is not there"
    row = rows.of_instances(*items[0], dummy(seed=0), [0.5] * 12)
    whole = [row, rows.of_instances(*items[1], dummy(seed=0), [0.5] * 12)]
    results.write(0, rows.in_order([i.image for i in items], kept, [row]))
    again = places.read_bytes(results.shard(0))
    results.write(0, whole)
    assert again == places.read_bytes(results.shard(0)), "byte for byte as if made at once"


def test_new_deletes_no_shard_of_another_program(tmp_path):
    (tmp_path / "shards").mkdir()
    theirs = tmp_path / "shards" / "part-000003.parquet"
    pq.write_table(pyarrow.table({"x": [1]}), theirs)
    before = theirs.read_bytes()
    with pytest.raises(ValueError, match=r"part-000003\.parquet seems to be another program"):
        Results(str(tmp_path)).begin(manifest(), new=True)
    assert theirs.read_bytes() == before


@pytest.mark.parametrize("name", ["plan.parquet", "manifest.json"])
@pytest.mark.parametrize("beside", ["nothing", "results"])
def test_new_deletes_nothing_of_another_program(name, beside, tmp_path, dummy):
    results = Results(str(tmp_path))
    if beside == "results":
        results.begin(manifest(), new=False)
        results.add(ITEMS, 5)
        fill(results, [0], dummy)
    theirs = tmp_path / name
    if name == "plan.parquet":
        pq.write_table(pyarrow.table({"task": ["a"], "due": [3]}), theirs)
    else:
        theirs.write_text('{"name": "my app"}')
    before = {p: p.read_bytes() for p in tmp_path.rglob("*.*")}
    with pytest.raises(ValueError, match=f"{name} seems to be another program's"):
        Results(str(tmp_path)).begin(manifest(), new=True)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*.*")} == before


def test_shards_of_other_options_are_not_counted(tmp_path, dummy):
    for name, conf in (("a", 0.4), ("b", 0.3)):
        results = Results(str(tmp_path / name))
        results.begin(manifest(options={"segment": {"conf": conf}}), new=False)
        results.add(ITEMS, 5)
        fill(results, [0], dummy)
    (tmp_path / "a" / "shards" / "part-000000.parquet").replace(results.shard(0))
    with pytest.raises(ValueError, match=r"cannot be read \(another network, or other options"):
        results.check_done()


def test_a_shard_has_one_name(tmp_path, dummy):
    results = Results(str(tmp_path))
    results.begin(manifest(), new=False)
    results.add(ITEMS, 5)
    fill(results, [0], dummy)
    shard = tmp_path / "shards" / "part-000000.parquet"
    for name in ("part-0000000.parquet", "part-00000\u0660.parquet", "my-part-000000.parquet"):
        shard.with_name(name).write_bytes(shard.read_bytes())
    assert results.done() == [0]
    results.check(results.done())
    assert results.counts(results.done()).images == 5


def test_a_flipped_bit_of_the_plan_is_noticed_or_changes_nothing(tmp_path, dummy):
    """And no shard is blamed for it."""
    results = Results(str(tmp_path))
    results.begin(manifest(), new=False)
    results.add(ITEMS, 2)
    fill(results, [0, 1, 2], dummy)
    plan, place = results.plan, tmp_path / "plan.parquet"
    whole, right = place.read_bytes(), 0
    rng = np.random.default_rng(0)
    for at in rng.permutation(len(whole))[:300].tolist():
        damaged = bytearray(whole)
        damaged[at] ^= 1 << int(rng.integers(8))
        place.write_bytes(damaged)
        try:
            right += Results(str(tmp_path)).plan.equals(plan)
        except ValueError as error:
            right += str(place) in str(error) and "\n" not in str(error)
    assert right == 300


def test_a_manifest_that_lacks_something_is_one_line(tmp_path):
    results = Results(str(tmp_path))
    results.begin(manifest(), new=False)
    file = tmp_path / "manifest.json"
    file.write_text(file.read_text().replace('"backend"', '"cackend"'))
    with pytest.raises(ValueError, match=r"manifest\.json.*running lacks backend"):
        results.manifest()


def test_an_address_without_a_bucket_is_no_folder_here():
    for address in ("s3://", "gs:///out", "s3:// /x"):
        with pytest.raises(ValueError, match="names no bucket or host"):
            Results(address)


def test_a_damaged_manifest_says_what_to_do_and_new_does_it(tmp_path, dummy):
    results = Results(str(tmp_path))
    results.begin(manifest(), new=False)
    results.add(ITEMS, 5)
    fill(results, [0], dummy)
    for name in ("manifest.json", "plan.parquet"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    shard = tmp_path / "shards" / "part-000000.parquet"
    shard.write_bytes(shard.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"manifest\.json is not JSON.*begin anew with --new"):
        results.manifest()
    Results(str(tmp_path)).begin(manifest(), new=True)
    assert (Results(str(tmp_path)).done(), results.manifest()) == ([], manifest())


def test_an_export_without_a_plan_says_what_is_gone(tmp_path, dummy):
    results = Results(str(tmp_path))
    results.begin(manifest(), new=False)
    results.add(ITEMS, 5)
    fill(results, [0], dummy)
    (tmp_path / "plan.parquet").unlink()
    with pytest.raises(ValueError, match=r"plan\.parquet is gone"):
        Results(str(tmp_path)).check_done()


def test_a_manifest_that_is_none_is_one_line(tmp_path):
    (tmp_path / "manifest.json").write_text('{"model": 7}')
    with pytest.raises(ValueError, match=r"manifest\.json"):
        Results(str(tmp_path)).manifest()
    ran = {"backend": "torch", "precision": "f32", "device": "cpu"}
    known = {"model": {}, "running": ran, "options": {}, "versions": {}, "format": 99}
    content = json.dumps(known, indent=1, sort_keys=True)
    content = content.replace('{\n "format": 99,\n', "{\n").replace("{\n", '{\n "format": 99,\n', 1)
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ValueError, match="of another version"):
        Results(str(tmp_path)).manifest()
    Results(str(tmp_path)).begin(manifest(), new=True)
    assert Results(str(tmp_path)).manifest() == manifest()


def test_one_run_at_a_time_writes_here(tmp_path):
    results = Results(str(tmp_path / "out"))
    with (
        results.alone(),
        pytest.raises(BlockingIOError, match="another process is at work"),
        Results(results.address).alone(),
    ):
        pass


def test_others_read_shards(tmp_path, dummy):
    results = Results(str(tmp_path))
    results.add(ITEMS, 2)
    fill(results, [0, 1, 2], dummy)
    shards = str(tmp_path / "shards")
    assert pyarrow.dataset.dataset(shards).count_rows() == 5
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    table = pandas.read_parquet(shards)
    assert list(table["image"]) == [i.image for i in ITEMS]
    assert len(table["boxes"][1]) == len(table["rles"][1]) == 12
    assert pq.read_schema(results.shard(0)).metadata[b"fastsam"] == b"1"
