"""Section 4.5 and figure 6: instances for words, by crops (the paper), dense and both."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from fastsam_plugins.datasets.coco import Record
from fastsam_plugins.evaluation.files import Records, load_truth
from fastsam_plugins.io import overlay, read_image
from fastsam_plugins.masks import runs as R
from fastsam_plugins.network.checkpoints import WeightsError
from fastsam_plugins.options import TextOptions
from fastsam_plugins.paper import pictures
from fastsam_plugins.paper.galleries import OPTIONS
from fastsam_plugins.paper.pictures import SHOWN, Image
from fastsam_plugins.paper.report import Finding
from fastsam_plugins.paper.setting import Missing, Setting
from fastsam_plugins.segmentation import Segmentation
from fastsam_plugins.text import loading
from fastsam_plugins.text.clip import Clip

WAYS: tuple[Literal["crops", "dense", "auto"], ...] = ("crops", "dense", "auto")
RIGHT = 0.5  # IoU
SMALLEST = 32**2  # pixels: of smaller objects there is hardly anything to see


@dataclass
class _Asked:
    """An image, and the objects in it that a word means alone."""

    image: Path
    shape: R.Shape
    words: list[str]
    masks: list[R.Runs]


def texts(setting: Setting) -> Finding:
    """Of kinds that an image has one object of: is it the one that their name selects?"""
    path = setting.instances("text", "coco_instances")
    folder = path.parent
    truth, missing = setting.usable(load_truth(path), path)
    asked = _questions(path, truth)
    if not asked:
        raise Missing(f"`{folder.name}/` has no image with a single object of a named category")
    try:
        clip = loading.load(setting.clip, str(setting.model.device))
    except WeightsError as error:
        raise Missing(f"a CLIP (`--clip`): {error}") from None
    ious: dict[str, list[float]] = {name: [] for name in (*WAYS, *_CONTROLS)}
    firsts: dict[str, list[float]] = {way: [] for way in WAYS}
    others: dict[str, list[float]] = {way: [] for way in WAYS}
    for item in setting.progress("Asking", len(asked))(asked):
        image = read_image(item.image)
        seg = setting.model.segment(image, OPTIONS)
        for way in WAYS:
            # Of a new one nothing is known yet.
            fresh, options = seg.with_image(image), TextOptions(features=way)
            for k, (word, mask) in enumerate(zip(item.words, item.masks, strict=True)):
                start = time.perf_counter()
                chosen = fresh.select(text=word, options=options, clip=clip)
                (others if k else firsts)[way].append(1000 * (time.perf_counter() - start))
                ious[way].append(_best(mask, chosen))
        for name, pick in _CONTROLS.items():
            ious[name] += [_best(mask, pick(seg)) for mask in item.masks]
    count = sum(len(item.words) for item in asked)
    rows = [(name, _row(name, values, firsts, others)) for name, values in ious.items()]
    picture = "texts.png"
    pictures.write([_pictures(setting, item, clip) for item in asked[:SHOWN]],
                   ("image", "everything", *WAYS, "truth"), setting.pictures / picture)  # fmt: skip
    said = "; ".join(item.words[0] for item in asked[:SHOWN])
    return Finding(
        ("right", "mean IoU", "ms, first text", "ms, further text"), rows,
        f"{len(asked)} images of `{folder.name}/`",
        [f"{count} objects of at least {SMALLEST} px that are the only one of their category in an "
         f"image are asked for as `a …`, by {setting.clip}, at {setting.model.imgsz} px, conf "
         f"{OPTIONS.conf}. Right: an IoU of {RIGHT} or more. Crops are the paper's way, here all "
         "of an image together. The paper shows pictures only."],
        {picture: f"{said}: the image; everything; {', '.join(WAYS)}; the truth"},
        missing,
    )  # fmt: skip


def _questions(path: Path, truth: Record) -> list[_Asked]:
    folder = path.parent
    names = {c["id"]: c["name"] for c in truth.get("categories") or []}
    if len(names) < 2:
        raise Missing(f"`{folder.name}/instances.json` has one category: there is nothing to ask")
    records = Records(truth["annotations"], path, "annotations[{}]")
    found = []
    for image in truth["images"]:
        shape = int(image["height"]), int(image["width"])
        item = _Asked(folder / "images" / image["file_name"], shape, [], [])
        places = records.of(image["id"])
        kinds = [records.field(i, "category_id") for i in places]
        for i, kind in zip(places, kinds, strict=True):
            if kinds.count(kind) > 1 or not records.counts(i) or kind not in names:
                continue
            mask = records.mask(i, shape)
            if R.area(mask) >= SMALLEST:
                article = "an" if names[kind][:1].lower() in "aeiou" else "a"
                item.words.append(f"{article} {names[kind]}")
                item.masks.append(mask)
        if item.words:
            found.append(item)
    return found


_CONTROLS: dict[str, Callable[[Segmentation], Segmentation]] = {
    "control: the largest mask": lambda seg: seg[np.argsort(-seg.areas)[:1]],
    "control: the best mask there is": lambda seg: seg,
}


def _best(mask: R.Runs, seg: Segmentation) -> float:
    """Largest IoU of a mask with instances; 0 if there are none."""
    return float(R.ious(mask, [seg.runs(i) for i in range(len(seg))]).max(initial=0))


def _row(
    name: str, ious: Sequence[float], firsts: dict[str, list[float]], others: dict[str, list[float]]
) -> tuple[float | None, ...]:
    def median(values: list[float] | None) -> float | None:
        return float(np.median(values)) if values else None

    right = 100 * float(np.mean(np.array(ious) >= RIGHT))
    times = median(firsts.get(name)), median(others.get(name))
    return right, 100 * float(np.mean(ious)), *times


def _pictures(setting: Setting, item: _Asked, clip: Clip) -> list[Image]:
    """Of the first word of an image, side by side."""
    image = read_image(item.image)
    seg = setting.model.segment(image, OPTIONS)
    found = [
        seg.select(text=item.words[0], options=TextOptions(features=way), clip=clip) for way in WAYS
    ]
    truth = Segmentation.from_runs(item.masks[:1], item.shape)
    return [image, overlay.overlay(image, seg), *(_lit(image, s) for s in (*found, truth))]


def _lit(image: Image, seg: Segmentation) -> Image:
    """An image that is dark where there is no instance: a tint might have the object's colour."""
    shown = image // 4
    for i in range(len(seg)):
        mask = seg.mask(i)
        shown[mask] = image[mask]
    return shown
