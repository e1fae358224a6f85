"""Images of results and of a ground truth, matched by the names of their files.

Programs number images as they come. Where both files name theirs, names say which is which.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import takewhile
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
        by_last[parts(name)[-1]].append(i)
    matches: dict[Any, Any] = {}
    taken: dict[Any, Any] = {}
    for i in used:
        if i not in named:
            raise ValueError(
                f"{paths[1]} has records of image {typed_json.shown(i)}, which it does not name: "
                f"name every image in it, {_CURE}"
            )
        fits = {k: _fit(named[i], known[k]) for k in by_last[parts(named[i])[-1]]}
        same = [k for k, fit in fits.items() if fit and fit == max(fits.values())]
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
        matches[i], taken[same[0]] = same[0], i
    return matches


def _fit(one: str, other: str) -> int:
    """How well two paths fit, if one ends as the other; else 0. The same path fits best."""
    lengths = len(parts(one)), len(parts(other))
    count = shared_ending(one, other)
    return count + (lengths[0] == lengths[1]) if count == min(lengths) else 0


def shared_ending(one: str, other: str) -> int:
    """How many names, from the file's own on, two paths have in common."""
    pairs = zip(reversed(parts(one)), reversed(parts(other)), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


@lru_cache(maxsize=1 << 16)  # of one image after another
def parts(path: str) -> tuple[str, ...]:
    """The names that make up a path, whichever system wrote it; one that is empty if it is."""
    return PurePosixPath(path.replace("\\", "/")).parts or ("",)
