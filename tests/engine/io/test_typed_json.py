"""JSON as types: what does not fit is one line that names the file and the place."""

from __future__ import annotations

import json
from typing import Annotated

import msgspec
import pytest

from fastsam_plugins.io import typed_json


class Point(msgspec.Struct):
    x: Annotated[float, msgspec.Meta(ge=0)]
    name: str | None = None


class Points(msgspec.Struct):
    points: list[Point]
    size: tuple[int, int] = (1, 1)


def read(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return typed_json.read(path, Points, "a list of points")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-le"])
def test_any_encoding_of_json_is_read(tmp_path, encoding):
    text = json.dumps({"points": [{"x": 1.5, "name": "é", "more": [1]}]}, ensure_ascii=False)
    found = read(tmp_path, text.encode(encoding))
    assert (found.points[0].x, found.points[0].name) == (1.5, "é")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is not JSON: it is empty"),
        ("  \n", "is not JSON: it is empty"),
        (b"\x1f\x8b\x08\x00", "unpack it first (gunzip)"),
        ('{"points": [', "is not JSON: "),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "is not a list of points: it has to be an object, got a list"),
        ("{}", "is not a list of points: it has no points"),
        ('{"points": [{"x": 1}, {}]}', "points[1] has no x"),
        ('{"points": [{"x": "1"}]}', "points[0].x: expected a number, got a text"),
        ('{"points": [{"x": NaN}]}', "points[0].x: expected a number, got NaN"),
        ('{"points": [{"x": 1e999}]}', "points[0].x: expected a number, got Infinity"),
        ('{"points": [{"x": -1}]}', "points[0].x: expected a number >= 0"),
        ('{"points": [], "size": [1, 2, 3]}', "size: expected 2 numbers, got 3"),
        ('{"points": [{"x": 1, "name": 2}]}', "name: expected a text or null, got a whole number"),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path, content, said):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        read(tmp_path, content)
    message = str(caught.value)
    assert said in message
    assert message.startswith(str(tmp_path / "a.json"))
    assert "\n" not in message
    assert len(message) < 300


def test_what_is_no_file_is_one_line(tmp_path):
    for path, said in (
        (tmp_path / "none.json", "there is no file"),
        (tmp_path, "cannot read .*directory"),
        ("/dev/zero", "is a device, not a file"),
    ):
        with pytest.raises(ValueError, match=said):
            typed_json.content(path)


def test_values_are_shown_up_to_a_length():
    assert typed_json.shown("a" * 10) == "'aaaaaaaaaa'"
    assert typed_json.shown("a" * 100) == "'" + "a" * 59 + "..."
