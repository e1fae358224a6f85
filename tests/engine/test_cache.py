"""What is kept is what was made, or it is made again."""

from __future__ import annotations

import warnings

import pytest

from fastsam_plugins import cache, paths


@pytest.fixture(autouse=True)
def own_place(tmp_path, monkeypatch):
    monkeypatch.setenv(paths.CACHE_VARIABLE, str(tmp_path / "kept"))


def made(times, content=b"worked out"):
    def make():
        times.append(1)
        return content

    return make


def test_it_is_made_once():
    times = []
    assert cache.kept("a", made(times)) == cache.kept("a", made(times)) == b"worked out"
    assert len(times) == 1
    assert cache.peek("b") is None


@pytest.mark.parametrize("content", [b"", b"worked out"])
@pytest.mark.parametrize("damage", ["cut", "empty", "changed", "longer"])
def test_what_is_damaged_is_made_again(damage, content):
    times = []
    cache.kept("a", made(times, content))
    good = cache.place("a").read_bytes()
    bad = {"cut": good[:-1], "empty": b"", "changed": bytes([good[0] ^ 1]) + good[1:],
           "longer": good + b"?"}[damage]  # fmt: skip
    cache.place("a").write_bytes(bad)
    assert cache.peek("a") is None
    assert cache.kept("a", made(times, content)) == content
    assert len(times) == 2
    assert cache.place("a").read_bytes() == good


def test_where_nothing_can_be_kept_a_warning_says_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(paths.CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="every start takes longer: set FASTSAM_CACHE_DIR"):
        assert cache.kept("a", made([])) == b"worked out"


def test_names_tell_parts_apart():
    assert cache.key("a", 1) == cache.key("a", 1)
    assert len({cache.key("a", 1), cache.key("a", 2), cache.key("a1")}) == 3


def test_packages_have_versions_or_none():
    assert cache.versions("numpy", "no-such-package")[1] == "-"
    assert cache.versions("numpy")[0][0].isdigit()
    assert cache.processor() == cache.processor() != ""


def test_that_nothing_can_be_kept_is_said_once(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(paths.CACHE_VARIABLE, str(tmp_path / "file"))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for name in "abc":
            cache.keep(name, b"")
    assert len(said) == 1
    assert f"in {tmp_path / 'file'} (File exists)" in str(said[0].message)
