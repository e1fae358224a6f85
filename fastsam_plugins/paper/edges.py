"""Table 2 and figure 4: edges on BSDS500, beside classical ways that scikit-image has."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.evaluation.edge_files import evaluate_boundaries, read_truth
from fastsam_plugins.evaluation.everything import PROPOSALS
from fastsam_plugins.evaluation.published import BOUNDARIES
from fastsam_plugins.io import atomic, overlay, read_image
from fastsam_plugins.paper.report import Finding
from fastsam_plugins.paper.setting import Missing, Setting, left_out

Image = NDArray[np.uint8]
Map = NDArray[np.float64]


def sobel(image: Image) -> Map:
    """Strength of the Sobel filter on gray values, 0 to 1."""
    from skimage import color, filters

    found = filters.sobel(color.rgb2gray(image))
    return np.asarray(found / max(float(found.max()), 1e-12))


def canny(image: Image) -> Map:
    """How many of twenty pairs of thresholds keep a pixel as an edge of Canny's, 0 to 1."""
    from skimage import color, feature

    gray = color.rgb2gray(image)
    levels = np.geomspace(0.02, 2, 20)  # from a fifth of all pixels to none
    kept = [feature.canny(gray, 1.5, low_threshold=v / 2, high_threshold=v) for v in levels]
    return np.asarray(np.mean(kept, axis=0))


def felzenszwalb(image: Image) -> Map:
    """In how many of ten segmentations by Felzenszwalb and Huttenlocher a pixel is at a border."""
    from skimage import segmentation

    from fastsam_plugins.evaluation.boundaries import of_segmentation

    scales = np.geomspace(30, 3000, 10)
    kept = [of_segmentation(segmentation.felzenszwalb(image, scale=s, min_size=50)) for s in scales]
    return np.asarray(np.mean(kept, axis=0))


def edges(setting: Setting) -> Finding:
    """Of the network and of the peers, on the same images by the same evaluation."""
    folder = setting.folder("bsds500_test", "bsds500", "bsds_test", "bsds_val")
    truths = sorted((folder / "groundTruth").glob("*.mat"))[: setting.limit]
    images = {p.stem: p for p in (folder / "images").glob("*.jpg")}
    pairs = [(images[t.stem], t) for t in truths if t.stem in images]
    if not pairs:
        raise Missing(f"`{folder.name}/` has no images/*.jpg with groundTruth/*.mat of their names")
    given = len(pairs)
    pairs, failed = _usable(setting, pairs)
    missing = left_out(failed, given)
    if not pairs:
        raise Missing(f"`{folder.name}/`: {missing[0]}")

    def own(image: Image, cropped: bool = False) -> Map:
        seg = setting.model.segment(image, PROPOSALS)
        return np.asarray(seg.edges(cropped=cropped), np.float64)

    name = setting.model.network.name
    ways: dict[str, Callable[[Image], Map]] = {
        name: own, f"{name} as in the paper": partial(own, cropped=True), "Sobel filter": sobel,
        "Canny": canny, "Felz-Hutt": felzenszwalb,
    }  # fmt: skip
    rows: list[tuple[str, tuple[Any, ...]]] = []
    shown: dict[str, Map] = {}
    with tempfile.TemporaryDirectory() as place:
        truth = Path(place) / "truth"
        truth.mkdir()
        for _, drawn in pairs:
            shutil.copy(drawn, truth / drawn.name)
        for way, made in ways.items():
            scores, first = _measured(truth, Path(place) / way, way, made, pairs, setting)
            shown[way] = first
            values = tuple(100 * float(scores[c]) for c in BOUNDARIES.columns)
            rows.append((f"{way}, measured here", values))
    picture = "edges.png"
    _draw(read_image(pairs[0][0]), shown, setting.pictures / picture)
    notes = [
        f"{len(pairs)} images of `{folder.name}/` at {setting.model.imgsz} px; all maps by one "
        "evaluation. Our edges take the probability of every mask, beyond its box too. As in the "
        "paper (`fastsam edges --cropped`): masks end at their boxes, of each only what lies along "
        "its border counts, thinned by Canny's rule."
    ]
    caption = (f"{pairs[0][0].stem}: the image, {', '.join(shown)}; of each map the strongest "
               "hundredth of the pixels is black")  # fmt: skip
    return Finding(BOUNDARIES.columns, rows, f"{len(pairs)} images of BSDS500", notes,
                   {picture: caption}, missing)  # fmt: skip


def _usable(
    setting: Setting, pairs: list[tuple[Path, Path]]
) -> tuple[list[tuple[Path, Path]], dict[Path, str]]:
    """The images and truths that can be used, and by image why the others cannot."""
    shapes, failed = {}, {}
    for image, drawn in pairs:
        try:
            shapes[image] = read_truth(drawn)[0].shape
        except ValueError as error:
            failed[image] = str(error)
    failed |= setting.unusable(shapes.items())
    return [pair for pair in pairs if pair[0] not in failed], failed


def _measured(
    truth: Path,
    maps: Path,
    way: str,
    made: Callable[[Image], Map],
    pairs: list[tuple[Path, Path]],
    setting: Setting,
) -> tuple[dict[str, float | int], Map]:
    """Figures, and the map of the first image."""
    from PIL import Image as Files

    maps.mkdir()
    first: Map | None = None

    for image, _ in setting.progress(way, len(pairs))(pairs):
        strength = made(read_image(image))
        first = strength if first is None else first
        scaled = np.round(strength * 65535).astype(np.uint16)
        Files.fromarray(scaled).save(maps / f"{image.stem}.png")
    compare = setting.progress(f"{way}: comparing", len(pairs))
    scores = evaluate_boundaries(truth, maps, workers=2, progress=compare)
    assert first is not None
    return scores.summary(), first


def _visible(strength: Map) -> Map:
    """A map whose strongest hundredth is black: of some ways hardly any edge comes near 1."""
    return np.clip(strength / max(float(np.quantile(strength, 0.99)), 1e-12), 0, 1)


def _draw(image: Image, maps: dict[str, Map], path: Path) -> None:
    """The image and its maps in two rows, cells of the image's form."""
    form = math.sqrt(image.shape[1] / image.shape[0])
    columns = math.ceil((1 + len(maps)) / 2)
    figure, plots = overlay.figure(columns, 4 * form, 4 / form + 0.3, rows=2)
    drawn: dict[str, NDArray[Any]] = {name: 1 - _visible(m) for name, m in maps.items()}
    for plot, (name, content) in zip(plots, {"image": image, **drawn}.items(), strict=False):
        plot.imshow(content, cmap="gray", vmin=0, vmax=1)
        plot.set_title(name, fontsize=10)
    for plot in plots:
        plot.axis("off")
    with atomic.replacing(path) as part:
        figure.savefig(part, format="png", dpi=90)
