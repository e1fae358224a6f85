"""Instances that are like an example: what is one, and which of them are candidates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import ExemplarOptions
from fastsam_plugins.segmentation import Segmentation
from napari_plugin.model.edits import Key
from napari_plugin.model.painting import SessionError, where
from napari_plugin.model.session import Session
from napari_plugin.model.slice_instances import SliceInstances

SAME = 0.5  # IoU with an example, or share of an object's pixels, of what is there already


@dataclass(frozen=True)
class Likeness:
    """How like an example all instances of a slice are.

    Attributes
    ----------
    key : tuple of int
    instances : SliceInstances
    example : Segmentation
        Of one instance, or of several, of which the most like counts.
    cosines : float32 array (N,)
        Of ``instances.seg``.
    """

    key: Key
    instances: SliceInstances
    example: Segmentation
    cosines: NDArray[np.float32]


def example_of(session: Session, key: Key, label: int) -> Segmentation:
    """What the prompts of a slice pick; where there are none, an object.

    Raises
    ------
    SessionError
        If there is neither, or nothing to compare by.
    """
    instances = session.instances(key)
    if instances is None:
        raise SessionError("segment this slice first")
    if instances.seg.encoding is None:
        raise SessionError(
            "there is nothing to compare by: segment the whole image, or a field of view"
        )
    if session.prompts(key):
        return session.picked(key)
    if not label:
        raise SessionError("click an object first: all that are like it are found")
    window, bitmap = where(session.objects.there, key, label)
    x0, y0, x1, y1 = instances.window
    seen = R.from_bitmap(bitmap, instances.shape, (window[0], window[1]))
    inside = R.to_bitmap(seen, instances.shape, (x0, y0, x1, y1))
    if not inside.any():
        raise SessionError(f"object {label} lies outside the part that was segmented")
    one = Segmentation.from_runs([R.from_bitmap(inside)], instances.seg.shape)
    return one.with_encoding(instances.seg)


def candidates(session: Session, found: Likeness, options: ExemplarOptions) -> list[int]:
    """Rows of instances that are like an example, the most like first.

    Those that filters hide are left out, and those that are the example, or objects, already.
    """
    instances = session.instances(found.key)
    assert instances is not None
    seg = instances.seg
    shown = np.isin(seg.rows, instances.visible.rows) & (seg.areas > 0)
    like = np.flatnonzero(shown & (found.cosines >= options.threshold))
    like = like[np.argsort(-found.cosines[like], kind="stable")]
    examples = [found.example.runs(i) for i in range(len(found.example))]
    rows: list[int] = []
    for i in like.tolist():
        if options.top_k and len(rows) == options.top_k:
            break
        if (R.ious(seg.runs(i), examples) > SAME).any() or _is_there(session, found.key, i):
            continue
        rows.append(int(seg.rows[i]))
    return rows


def _is_there(session: Session, key: Key, i: int) -> bool:
    """Whether most of an instance is an object already."""
    canvas, instances = session.objects.canvas, session.segmented[key]
    if canvas is None or canvas.shape != instances.shape:
        return False
    runs = instances.runs(instances.seg, i)
    window = R.bounds(runs, instances.shape[0])
    mask = R.to_bitmap(runs, instances.shape, window)
    return bool((canvas.read(key, window)[mask] != 0).mean() > SAME)
