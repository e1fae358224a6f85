"""Images of results and of a ground truth, matched by the names of their files.

Programs number images as they come. Where both files name theirs, names say which is which.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from fastsam_plugins.datasets import coco
from fastsam_plugins.io import typed_json

_CURE = "or leave the list of images out of it, so that ids count"


def renumbered(
    results: coco.Results, truth: Sequence[coco.Image], paths: tuple[Path, Path]
) -> list[Any]:
    """Records of results, with the image ids of the ground truth.

    Ids stay where the results name no images, or name them as the ground truth does.

    Parameters
    ----------
    results : coco.Results
        Its records are not changed.
    truth : list of coco.Image
    paths : (path, path)
        Of the ground truth and of the results, for errors.

    Raises
    ------
    ValueError
        If names tell of no image of the ground truth, or of two.
    """
    known = {image.id: image.name for image in truth if image.name}
    named = {image.id: image.name for image in results.images if image.name}
    used = {_field(r, "image_id") for r in results.records}
    if all(known.get(i, named.get(i)) == named.get(i) for i in used if i in named) and all(
        i in known for i in used if i in named
    ):
        return results.records
    new = _match(named, known, used, paths)
    return [_with(r, new.get(_field(r, "image_id"))) for r in results.records]


def _field(record: Any, name: str) -> Any:
    return record.get(name) if isinstance(record, dict) else getattr(record, name)


def _with(record: Any, image: Any) -> Any:
    if image is None or image == _field(record, "image_id"):
        return record
    if isinstance(record, dict):
        return {**record, "image_id": image}
    return coco.with_image(record, image)


def _match(
    named: dict[Any, str], known: dict[Any, str], used: Iterable[Any], paths: tuple[Path, Path]
) -> dict[Any, Any]:
    """Ids of the ground truth by those of the results."""
    by_last: dict[str, list[Any]] = defaultdict(list)
    for i, name in known.items():
        by_last[_parts(name)[-1]].append(i)
    found: dict[Any, Any] = {}
    taken: dict[Any, Any] = {}
    for i in used:
        if i not in named:
            raise ValueError(
                f"{paths[1]} has records of image {typed_json.shown(i)}, which it does not name: "
                f"name every image in it, {_CURE}"
            )
        same = by_last[_parts(named[i])[-1]]
        best = max((_alike(named[i], known[k]) for k in same), default=0)
        same = [k for k in same if _alike(named[i], known[k]) == best and best]
        if not same:
            raise ValueError(
                f"{paths[1]} names image {typed_json.shown(i)} {named[i]!r}, and {paths[0]} lists "
                f"no image of that name: are they of the same images? Rename it, {_CURE}"
            )
        if len(same) > 1:
            raise ValueError(
                f"{paths[1]} names image {typed_json.shown(i)} {named[i]!r}, as {paths[0]} names "
                f"{known[same[0]]!r} and {known[same[1]]!r}: give it with its folder, {_CURE}"
            )
        if same[0] in taken:
            raise ValueError(
                f"{paths[1]} names images {named[taken[same[0]]]!r} and {named[i]!r}, which are "
                f"both {known[same[0]]!r} of {paths[0]}: give them with their folders, {_CURE}"
            )
        found[i], taken[same[0]] = same[0], i
    return found


def _parts(name: str) -> tuple[str, ...]:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return tuple(p for p in parts if p != ".") or ("",)


def _alike(one: str, other: str) -> int:
    """How many of the last parts of two paths are the same, if one ends as the other; else 0."""
    first, second = _parts(one), _parts(other)
    count = min(len(first), len(second))
    if first[-count:] != second[-count:]:
        return 0
    return count + (len(first) == len(second))
