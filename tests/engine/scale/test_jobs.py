"""jobs.py: how a run begins, and goes on."""

from __future__ import annotations

import dataclasses

import pytest

from fastsam_plugins.options import PromptOptions, RunOptions
from fastsam_plugins.scale import jobs
from fastsam_plugins.scale.inputs import Item
from fastsam_plugins.scale.results import Results

ITEMS = [Item("/a.png"), Item("/b.png"), Item("/a.png")]


def begin(results, settings, said, new=False, items=ITEMS):
    def start(_):
        said.append("start")
        return {"backend": "torch", "precision": "f32", "device": "cpu"}

    return jobs.begin(results, settings, new, items, 1, start, said.append)


def test_the_network_is_made_once_and_kept_in_mind(tmp_path, settings):
    results, said = Results(str(tmp_path)), []
    assert begin(results, settings, said) == [0, 1]
    assert said == ["start", "1 entries name an image once more: each image is done once"]
    auto = dataclasses.replace(settings, running=RunOptions(device="cpu"))
    assert begin(Results(str(tmp_path)), auto, said) == [0, 1]
    assert said.count("start") == 1
    assert jobs.resumed(results, auto).running.backend == "torch"
    assert jobs.resumed(results, auto).running.precision == "f32"


def test_other_options_begin_nothing(tmp_path, settings):
    results, said = Results(str(tmp_path)), []
    begin(results, settings, said)
    other = dataclasses.replace(settings, prompting=PromptOptions(predict=True))
    with pytest.raises(ValueError, match=r"predict False|decoder None, and now it is"):
        begin(results, other, said)
    assert begin(results, other, said, new=True, items=ITEMS[:1]) == [0]
    assert jobs.known(results).model["decoder"]


def test_what_cannot_be_listed_begins_nothing(tmp_path, settings):
    def broken():
        yield ITEMS[0]
        raise ValueError("there is no such list")

    with pytest.raises(ValueError, match="there is no such list"):
        begin(Results(str(tmp_path / "out")), settings, [], items=broken())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ([Item("/a.png", "[1]"), Item("/a.png", "[2]")], "with different prompts"),
        ([], "there is no image in what was named"),
    ],
)
def test_new_deletes_nothing_if_it_cannot_begin(items, said, tmp_path, settings):
    results = Results(str(tmp_path))
    begin(results, settings, [])
    before = sorted((p, p.read_bytes()) for p in tmp_path.rglob("*.*"))
    with pytest.raises(ValueError, match=said):
        begin(Results(str(tmp_path)), settings, [], new=True, items=items)
    assert sorted((p, p.read_bytes()) for p in tmp_path.rglob("*.*")) == before


def test_other_versions_are_told(tmp_path, settings, monkeypatch):
    said = []
    begin(Results(str(tmp_path)), settings, said)
    monkeypatch.setattr(jobs, "versions", lambda: {"fastsam-plugins": "99"})
    begin(Results(str(tmp_path)), settings, said)
    assert any("Other versions" in line for line in said)
