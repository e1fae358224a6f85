"""Valid files of each format, and seeded ways to damage them."""

from __future__ import annotations

import copy
import gzip
import json
import random
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastsam_plugins.masks import rle
from fastsam_plugins.masks import runs as R

SHAPE = (60, 80)

VALUES: list[Any] = [
    None, True, False, -1, 0, 1, 2, 1.0, 1.5, float("nan"), float("inf"), float("-inf"), 10**400,
    2**31, 2**63, 2**64, -(2**63), 1e308, "", "x" * 5000, "\ud800", "é\u0000", "1", [], {}, [[]],
    [[[]]], {"a": 1}, "../../etc/passwd", "/dev/zero", ".", "a\0b", "n" * 300, [float("nan")] * 6,
    [1, 2, 3], [1, 2, 3, 4], [[1, 2, 3, 4, 5, 6]], [["a"] * 6], [[1] * 5], [True] * 4,
    {"size": list(SHAPE), "counts": [1, 2]}, {"size": list(SHAPE), "counts": [-5, 4805]},
    {"size": list(SHAPE), "counts": [2**62, 2**62, 2**62, 2**62, 4800]},
    {"size": list(SHAPE), "counts": [10**30, 1]}, {"size": list(SHAPE), "counts": [0.5, 4799.5]},
    {"size": list(SHAPE), "counts": "~~~~"}, {"size": list(SHAPE), "counts": "ooooooooooooooo"},
    {"size": list(SHAPE), "counts": "O0O0O0"}, {"size": list(SHAPE), "counts": "日本"},
    {"size": [10**9, 10**9], "counts": [10**18]}, {"size": [2**40, 2**40], "counts": [1]},
    {"size": [-60, -80], "counts": [4800]}, {"size": [60, 80, 3], "counts": [4800]},
]  # fmt: skip
TOKENS = [
    b"{", b"}", b"[", b"]", b'"', b"\\", b",", b":", b"-", b"1e999", b"NaN", b"Infinity", b"null",
    b"true", b"\xff", b"\0", b"9" * 5000, b"\\ud800", b'"image_id":7,', b"[" * 3000,
    b'{"a":' * 2000,
]  # fmt: skip


def masks(count: int) -> list[dict[str, Any]]:
    """Compressed masks of boxes."""
    made = []
    for k in range(count):
        bitmap = np.zeros(SHAPE, np.bool_)
        bitmap[5 : 15 + k, 5 + 3 * k : 25 + 3 * k] = True
        made.append(R.from_bitmap(bitmap))
    return rle.encode(made, SHAPE)


def truth() -> dict[str, Any]:
    """A ground truth of two images, with masks of every form; it is results too."""
    height, width = SHAPE
    forms: list[Any] = masks(4)
    forms[1] = [[5.0, 5.0, 30.0, 5.0, 30.0, 20.0]]
    forms[2] = {"size": [height, width], "counts": [400, 100, 4300]}
    image = {"height": height, "width": width}
    return {
        "images": [{"id": k, "file_name": f"i{k}.png", **image} for k in (1, 2)],
        "categories": [{"id": 1, "name": "object", "frequency": "f"}],
        "annotations": [
            {"id": k + 1, "image_id": 1 + k % 2, "category_id": 1, "iscrowd": 0, "area": 200.0,
             "bbox": [5, 5, 20, 10], "score": 0.5, "segmentation": form}
            for k, form in enumerate(forms)
        ],
    }  # fmt: skip


def sa1b() -> dict[str, Any]:
    """SA-1B's file of the first image."""
    content = truth()
    regions = [{k: v for k, v in a.items() if k != "image_id"} for a in content["annotations"]]
    return {"image": content["images"][0], "annotations": regions}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a value."""
    yield path
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in keys:
        yield from places(value[key], (*path, key))


def _changed(chance: random.Random, content: Any) -> Any:
    content = copy.deepcopy(content)
    for _ in range(chance.choice((1, 1, 1, 2))):
        path = chance.choice(list(places(content)))
        value = copy.deepcopy(chance.choice(VALUES))
        if not path:
            return value
        inside = content
        for key in path[:-1]:
            inside = inside[key]
        how = chance.random()
        if how < 0.75:
            inside[path[-1]] = value
        elif how < 0.9 or not isinstance(inside, list):
            del inside[path[-1]]
        else:
            inside.append(copy.deepcopy(inside[path[-1]]))
    return content


def _cut(chance: random.Random, text: bytes) -> bytes:
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text) + 1)
        how = chance.randrange(5)
        if how == 0:
            text = text[:at] + bytes([chance.randrange(256)]) + text[at + 1 :]
        elif how == 1:
            text = text[:at] + chance.choice(TOKENS) + text[at:]
        elif how == 2:
            text = text[:at] + text[at + chance.randint(1, 60) :]
        elif how == 3:
            other = chance.randrange(len(text) + 1)
            text = text[:at] + text[other : other + 40] + text[at + 40 :]
        else:
            text = text[:at]
    return text


def whole(text: bytes) -> list[bytes]:
    """What can be wrong with a file as a whole."""
    plain = text.decode()
    return [
        text, b"\xef\xbb\xbf" + text, plain.encode("utf-16"), plain.encode("utf-32"), b"", b"  ",
        text[:-9], text + text, b"\0" * 100, b"// x\n" + text, b"[" * 200_000 + b"]" * 200_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000, gzip.compress(text), b"[]", b"{}", b"null",
        b'"a"', b"\x80\x04cos\nsystem\n", plain.replace("object", "é").encode("latin-1"),
        plain.replace('"images"', '"images": [], "images"', 1).encode(),
    ]  # fmt: skip


def damaged(content: Any, count: int, seed: int) -> Iterator[bytes]:
    """A number of damaged files."""
    chance = random.Random(seed)
    text = json.dumps(content).encode()
    yield from whole(text)
    for _ in range(count - len(whole(text))):
        if chance.random() < 0.7:
            yield json.dumps(_changed(chance, content)).encode()
        else:
            yield _cut(chance, text)
