"""A session as JSON: objects as COCO RLE, what they were picked with, and what is open.

Nothing in a file is run. The history of steps is not kept: what was done stays done.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from fastsam_plugins.geometry import Window
from fastsam_plugins.io import atomic
from fastsam_plugins.masks import rle
from fastsam_plugins.masks import runs as R
from napari_plugin.model import schema
from napari_plugin.model.edits import Key
from napari_plugin.model.painting import drawn
from napari_plugin.model.prompts import Prompts, Scribble
from napari_plugin.model.session import Object, Session, SessionError

_NOTHING: Mapping[Key, dict[int, R.Runs]] = {}

Frozen = Callable[[], dict[int, R.Runs]]
"""Gives the masks of all labels that a slice had at some time."""


@dataclass(frozen=True)
class ImageRecord:
    """The image that a session is of.

    Attributes
    ----------
    name : str
        Of its layer.
    path : str, optional
        The file it was read from.
    shape : tuple of int
        Of its array, without the colours of RGB.
    plane : (rows, columns)
        The axes that a slice spans.
    content : str, optional
        Names its pixels; see :mod:`napari_plugin.model.identity`.
    """

    name: str
    path: str | None
    shape: tuple[int, ...]
    plane: tuple[int, int]
    content: str | None = None


@dataclass
class Saved:
    """What a session file holds.

    Attributes
    ----------
    image : ImageRecord
    labels : dict
        By slice and id: run arrays.
    objects : dict of Object
    prompts : dict of Prompts
        By slice, those not committed yet.
    segmented : dict
        By slice: the digest of the kept segmentation, and its window.
    next_id : int
    pictures : dict
        By slice: the file with its pixels, as the network saw them, beside the session's; for
        images that are not files of one slice.
    """

    image: ImageRecord
    labels: dict[Key, dict[int, R.Runs]] = field(default_factory=dict)
    objects: dict[int, Object] = field(default_factory=dict)
    prompts: dict[Key, Prompts] = field(default_factory=dict)
    segmented: dict[Key, tuple[str, Window]] = field(default_factory=dict)
    next_id: int = 1
    pictures: dict[Key, str] = field(default_factory=dict)

    @property
    def shape(self) -> R.Shape:
        """(H, W) of a slice."""
        return self.image.shape[self.image.plane[0]], self.image.shape[self.image.plane[1]]

    @property
    def largest(self) -> int:
        """The largest id of an object that is a label."""
        return max((label for masks in self.labels.values() for label in masks), default=0)


def snapshot(
    session: Session, image: ImageRecord, known: Mapping[Key, dict[int, R.Runs]] = _NOTHING
) -> tuple[Saved, dict[Key, Frozen]]:
    """What there is to save, but for the labels: as they are now, of those slices that have any.

    Quick; :func:`write` does the slow part, and may do it in another thread.

    Parameters
    ----------
    session : Session
    image : ImageRecord
    known : mapping
        Labels that :func:`write` gave before, of slices that have not changed since.
    """
    objects, canvas = session.objects, session.objects.canvas
    saved = Saved(
        image,
        labels=dict(known),
        objects=dict(objects.known),
        prompts={k: p for k in session.prompted_slices() if (p := session.prompts(k))},
        segmented={k: (s.digest, s.window) for k, s in session.segmented.items() if s.digest},
        next_id=objects.next_id,
    )
    planes = {}
    if canvas is not None:
        planes = {key: canvas.frozen(key) for key in objects.labelled - known.keys()}
    return saved, planes


def write(
    saved: Saved, planes: Mapping[Key, Frozen], path: str | Path
) -> dict[Key, dict[int, R.Runs]]:
    """Write a session file, in one move: see :func:`fastsam_plugins.io.atomic.replacing`.

    Returns
    -------
    dict
        The labels of all slices.
    """
    objects = [
        {
            "id": o.id,
            "score": _number(o.score),
            "stability": _number(o.stability),
            "prompts": {_text(k): p.to_json() for k, p in o.prompts.items()},
            "outline": o.outline
            and {"slice": _text(o.outline[0]), **rle.encode([o.outline[1]], saved.shape)[0]},
        }
        for o in saved.objects.values()
    ]
    labels: dict[str, list[dict[str, Any]]] = {}
    masks = {**saved.labels, **{k: frozen() for k, frozen in planes.items()}}
    for key, by_id in masks.items():
        texts = rle.encode(list(by_id.values()), saved.shape)
        labels[_text(key)] = [{"id": i, **t} for i, t in zip(by_id, texts, strict=True)]
    image = asdict(saved.image) | {"name": _readable(saved.image.name)[: schema.NAME]}
    if saved.image.path is not None:
        image["path"] = _readable(saved.image.path)
    content = {
        "format": schema.FORMAT,
        "version": schema.VERSION,
        "image": image,
        "next_id": saved.next_id,
        "objects": objects,
        "labels": labels,
        "prompts": {_text(k): p.to_json() for k, p in saved.prompts.items()},
        "scenes": {_text(k): {"digest": d, "window": w} for k, (d, w) in saved.segmented.items()},
        "pictures": {_text(k): name for k, name in saved.pictures.items()},
    }
    atomic.write_bytes(path, msgspec.json.encode(content))
    return masks


def read(path: str | Path) -> Saved:
    """Read a session file.

    Raises
    ------
    SessionError
        If there is none, or it is something else; one line, with the place in the file.
    """
    path = Path(path)
    return _saved(path, schema.session_in(path))


def _saved(path: Path, content: schema.SessionJSON) -> Saved:
    image = content.image
    rows, columns = image.plane
    if not rows < columns < len(image.shape):
        raise schema.wrong(path, "image.plane", "expected two axes of the shape, in order")
    record = ImageRecord(image.name, image.path, image.shape, (rows, columns), image.content)
    saved = Saved(record, next_id=content.next_id)
    sizes = [n for axis, n in enumerate(image.shape) if axis not in image.plane]
    height, width = saved.shape

    def key(where: str, text: str) -> Key:
        place = tuple(int(k) for k in text.split(",")) if text else ()
        if len(place) != len(sizes) or any(k >= n for k, n in zip(place, sizes, strict=True)):
            raise schema.wrong(path, where, f"the image has no slice {text!r}")
        return place

    for text, raw in content.labels.items():
        place = f'labels["{text}"]'
        here = saved.labels[key(place, text)] = {}
        for k, one in enumerate(schema.decoded(path, place, raw, list[schema.LabelJSON])):
            if one.id in here:
                raise schema.wrong(path, f"{place}[{k}].id", f"{one.id} is there twice")
            here[one.id] = _mask(path, f"{place}[{k}]", one, saved.shape)
    for k, known in enumerate(content.objects):
        place = f"objects[{k}]"
        if known.id in saved.objects:
            raise schema.wrong(path, f"{place}.id", f"{known.id} is there twice")
        by_slice = {
            key(f"{place}.prompts", t): _prompts(path, f'{place}.prompts["{t}"]', p, saved.shape)
            for t, p in known.prompts.items()
        }
        outline = None
        if known.outline is not None:
            outline = (
                key(f"{place}.outline.slice", known.outline.slice),
                _mask(path, f"{place}.outline", known.outline, saved.shape),
            )
        score, stability = (math.nan if v is None else v for v in (known.score, known.stability))
        saved.objects[known.id] = Object(known.id, score, stability, by_slice, outline)
    for text, raw in content.prompts.items():
        place = f'prompts["{text}"]'
        prompts = schema.decoded(path, place, raw, schema.PromptsJSON)
        saved.prompts[key(place, text)] = _prompts(path, place, prompts, saved.shape)
    for text, raw in content.segmented.items():
        place = f'scenes["{text}"]'
        segmented = schema.decoded(path, place, raw, schema.SegmentedJSON)
        x0, y0, x1, y1 = segmented.window
        if not (x0 < x1 <= width and y0 < y1 <= height):
            raise schema.wrong(path, f"{place}.window", "expected a part of the slice")
        saved.segmented[key(place, text)] = segmented.digest, (x0, y0, x1, y1)
    for text, name in content.pictures.items():
        place = f'pictures["{text}"]'
        inside = PurePosixPath(name)
        if "\0" in name or not inside.parts or inside.is_absolute() or ".." in inside.parts:
            raise schema.wrong(path, place, "expected a file beside the session")
        saved.pictures[key(place, text)] = name
    return saved


def _prompts(path: Path, where: str, given: schema.PromptsJSON, shape: R.Shape) -> Prompts:
    if len(given.points) != len(given.labels):
        raise schema.wrong(path, f"{where}.labels", "expected one for each point")
    for k, ends in enumerate(given.masks):
        increasing = all(a < b for a, b in itertools.pairwise(ends))
        if not ends or len(ends) % 2 or not increasing or ends[-1] > shape[0] * shape[1]:
            raise schema.wrong(
                path, f"{where}.masks[{k}]", "expected ends of runs, in order, inside the slice"
            )
    return Prompts(
        tuple(given.points), tuple(given.labels), tuple(given.boxes),
        given.step, given.target, tuple(given.chosen), tuple(given.steps),
        tuple(Scribble(tuple(s.line), s.label, s.after) for s in given.scribbles),
        tuple(tuple(ends) for ends in given.masks), given.first,
    )  # fmt: skip


def _mask(
    path: Path, where: str, one: schema.LabelJSON | schema.OutlineJSON, shape: R.Shape
) -> R.Runs:
    """Runs that lie in the slice: sizes are compared before anything is added up."""
    pixels = shape[0] * shape[1]
    if one.size != shape:
        raise schema.wrong(
            path, f"{where}.size", f"a mask of {one.size} does not fit slices of {shape}"
        )
    if not isinstance(one.counts, str) and sum(one.counts) != pixels:
        raise schema.wrong(path, f"{where}.counts", "expected counts that add up to the size")
    try:
        runs, _ = rle.decode({"size": list(one.size), "counts": one.counts})
    except (ValueError, OverflowError) as error:
        raise schema.wrong(path, f"{where}.counts", str(error)) from None
    if len(runs) and not (
        runs[0, 0] >= 0
        and runs[-1, 1] <= pixels
        and (runs[:, 0] < runs[:, 1]).all()
        and (runs[1:, 0] > runs[:-1, 1]).all()
    ):  # numbers that came round
        raise schema.wrong(path, f"{where}.counts", "expected counts that add up to the size")
    return runs


def restore(session: Session, saved: Saved) -> None:
    """Put what was saved into a session whose canvas is empty."""
    objects, canvas = session.objects, session.objects.canvas
    assert canvas is not None
    if canvas.shape != saved.shape:
        raise SessionError(
            f"the session is of an image of {saved.shape}, this one has {canvas.shape}"
        )
    if not saved.labels.keys() <= set(canvas.keys()):
        raise SessionError("the session is of a stack with other slices")
    if saved.largest > canvas.max_id:
        raise SessionError(
            f"the session has ids up to {saved.largest}, labels hold {canvas.max_id}"
        )
    for key, masks in saved.labels.items():
        if not masks:
            continue
        for edit in drawn(canvas, key, masks):
            objects.areas.update(edit.apply(canvas, forward=True))
        objects.labelled.add(key)
    canvas.show()
    objects.known = dict(saved.objects)
    objects.next_id = max(objects.next_id, saved.next_id)
    for key, prompts in saved.prompts.items():
        if prompts.target is None or prompts.target in saved.labels.get(key, ()):
            session.start_with(key, prompts)


def _text(key: Key) -> str:
    return ",".join(str(k) for k in key)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _readable(text: str) -> str:
    """A name without what is no text, such as bytes of a file's name that are no UTF-8."""
    return text.encode(errors="replace").decode()
