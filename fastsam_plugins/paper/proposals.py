"""Tables 3 to 5 and figure 5: proposals on COCO and LVIS, with controls."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.batch import segment_images
from fastsam_plugins.datasets.sources import Labelled
from fastsam_plugins.evaluation import bootstrap
from fastsam_plugins.evaluation.everything import PROPOSALS, measure
from fastsam_plugins.evaluation.files import IouType, image_name, is_lvis, load_truth
from fastsam_plugins.evaluation.proposal_files import evaluate_proposals
from fastsam_plugins.evaluation.proposals import ProposalRecall
from fastsam_plugins.evaluation.published import (
    COCO_PROPOSALS,
    LVIS_BOXES,
    LVIS_MASKS,
    OURS,
    Table,
)
from fastsam_plugins.evaluation.regions import Regions
from fastsam_plugins.geometry import xyxy_to_xywh
from fastsam_plugins.io import atomic, overlay, read_image
from fastsam_plugins.masks import runs as R
from fastsam_plugins.paper import peers
from fastsam_plugins.paper.report import Estimate, Finding
from fastsam_plugins.paper.setting import Missing, Setting

Boxes = NDArray[np.float64]
MOST = 1000
MARKERS = "osv^D<>PX*"
NAMES = (*COCO_PROPOSALS.columns, "AR@1000/small", "AR@1000/medium", "AR@1000/large")


def coco(setting: Setting) -> Finding:
    """Boxes of the network, of controls, and of classical ways where they are installed."""
    name, labelled, missing = setting.labelled("coco_val2017", "coco")
    network = setting.model.network.name
    own = measure(setting.model, labelled, PROPOSALS, setting.progress("Segmenting", len(labelled)))
    ways = {"uniform grid": grid, "the true boxes, largest first": true_boxes}
    notes = []
    if peers.installed():
        ways["Selective Search (OpenCV)"] = lambda item: peers.selective_search(item.image)
        for title, drawn in peers.edge_maps(setting.model, PROPOSALS).items():
            ways[f"EdgeBoxes (OpenCV) on {title}"] = partial(_edge_boxes, drawn)
        notes.append("EdgeBoxes have Sobel's edges and ours, not the structured edges of its "
                     "paper, whose trained model OpenCV does not bring.")  # fmt: skip
    else:
        missing.append(peers.MISSING)
    recalls = {network: own.boxes} | {way: _recall(labelled, ways[way]) for way in ways}
    rows = [(f"{way}, measured here", figures(recall)) for way, recall in recalls.items()]
    masks = (f"{network}, masks", figures(own.masks))
    rows.append(masks)
    picture = "proposals.png"
    _draw(recalls | {masks[0]: own.masks}, setting.pictures / picture)
    notes.insert(0, f"{len(labelled)} images of `{name}/` at {setting.model.imgsz} px, "
                 f"{own.masks.summary()['ground_truths']} instances, every category one. In the "
                 "paper: the 5,000 images of val2017 with its 80 kinds of things. "
                 f"{bootstrap.TOLD}")  # fmt: skip
    return Finding(NAMES, rows, f"{len(labelled)} images of `{name}/`", notes,
                   {picture: "Average recall by number of proposals"}, missing)  # fmt: skip


def figures(recall: ProposalRecall, names: Sequence[str] = NAMES) -> tuple[Estimate, ...]:
    """In percent, with their intervals."""
    summary, ranges = recall.summary(), recall.intervals()
    none = np.nan, np.nan
    return tuple(
        Estimate(*(100 * float(v) for v in (summary.get(n, np.nan), *ranges.get(n, none))))
        for n in names
    )


def _recall(labelled: Sequence[Labelled], propose: Callable[[Labelled], Boxes]) -> ProposalRecall:
    """Of a way to propose boxes xyxy (N, 4), the best first."""
    recall = ProposalRecall()
    for item in labelled:
        boxes = xyxy_to_xywh(propose(item)[:MOST])
        areas = np.array([R.area(m) for m in item.masks], np.float64)
        truth = Regions(Regions.of_masks(item.masks, item.shape[0]).boxes)
        recall.add(truth, areas, Regions(boxes), -np.arange(len(boxes), dtype=np.float64))
    return recall


def grid(item: Labelled) -> Boxes:
    """The control: boxes of three forms at six sizes, large ones first, evenly spread."""
    height, width = item.shape
    boxes = []
    for count in (1, 2, 3, 5, 8, 13):
        for aspect in (1.0, 0.5, 2.0):
            w = width / count * 1.25 * min(aspect, 1.0)
            h = height / count * 1.25 / max(aspect, 1.0)
            for y in (np.arange(count) + 0.5) * height / count:
                for x in (np.arange(count) + 0.5) * width / count:
                    boxes.append([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
    return np.clip(np.array(boxes), 0, [width, height, width, height])


def true_boxes(item: Labelled) -> Boxes:
    """The other control, which bounds AR@10: no list of ten holds more than ten of the truth."""
    boxes = [R.bounds(mask, item.shape[0]) for mask in item.masks]
    areas = [R.area(mask) for mask in item.masks]
    return np.array(boxes, np.float64).reshape(-1, 4)[np.argsort(areas)[::-1]]


def _edge_boxes(drawn: Callable[[Path], peers.Map], item: Labelled) -> Boxes:
    return peers.edge_boxes(drawn(item.image))


def _draw(recalls: dict[str, ProposalRecall], path: Path) -> None:
    figure, (plot,) = overlay.figure(1, 8)
    for k, (name, recall) in enumerate(recalls.items()):
        curve = recall.curve()
        plot.plot(np.arange(1, len(curve) + 1), curve, f"C{k}", label=name)
    # The paper's are gray, so that none has the colour of a measured one: a marker each.
    for (name, values), marker in zip(COCO_PROPOSALS.rows.items(), MARKERS, strict=True):
        ends = [v / 100 for v in values[:3] if v is not None]
        gray = "0" if name == OURS else "0.5"
        plot.plot([10, 100, 1000], ends, f"{marker}:", color=gray, linewidth=0.7, markersize=5,
                  label=f"{name}, paper")  # fmt: skip
    plot.set(xscale="log", xlabel="proposals per image", ylabel="average recall", ylim=(0, 1))
    plot.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=7)
    with atomic.replacing(path) as part:
        figure.savefig(part, format="png", dpi=120)


def lvis_boxes(setting: Setting) -> Finding:
    """Table 4."""
    return _lvis(setting, "bbox", LVIS_BOXES)


def lvis_masks(setting: Setting) -> Finding:
    """Table 5."""
    return _lvis(setting, "segm", LVIS_MASKS)


def _lvis(setting: Setting, iou_type: IouType, table: Table) -> Finding:
    """Recall on a file of LVIS's form, by size and by how frequent a category is."""
    folder = setting.folder("lvis_val", "lvis")
    files = sorted(folder.glob("*.json"))
    if len(files) != 1 or not (folder / "images").is_dir():
        raise Missing(f"`{folder.name}/` needs one .json of LVIS's form, and `images/`")
    whole = load_truth(files[0])
    if not is_lvis(whole, files[0]):
        raise Missing(f"{files[0].name} has no frequencies of categories, as LVIS's files have")
    truth, missing = setting.usable(whole, files[0])
    images = truth["images"]
    name = setting.model.network.name
    with tempfile.TemporaryDirectory() as place:
        part, results = Path(place) / "truth.json", Path(place) / "results.json"
        atomic.write_json(part, truth)
        atomic.write_json(results, list(_records(setting, images, folder / "images")))
        measured = figures(evaluate_proposals(part, results, iou_type), table.columns)
    return Finding(
        table.columns, [(f"{name}, measured here", measured)],
        f"{len(images)} images of `{folder.name}/`",
        [f"{files[0].name} at {setting.model.imgsz} px, all categories as one. Of the paper's, "
         f"LVIS v1 is meant. {bootstrap.TOLD}"],
        missing=missing,
    )  # fmt: skip


def _records(
    setting: Setting, images: Sequence[dict[str, Any]], folder: Path
) -> Iterator[dict[str, Any]]:
    """COCO results of the network's proposals."""

    def read(image: dict[str, Any]) -> Any:
        return read_image(folder / image_name(image))

    wrapped = setting.progress("Segmenting", len(images))(images)
    for outcome in segment_images(setting.model, wrapped, read, PROPOSALS):
        if outcome.segmentation is None:
            raise ValueError(outcome.error)
        seg = outcome.segmentation
        boxes = xyxy_to_xywh(seg.boxes)
        for box, score, mask in zip(boxes.tolist(), seg.scores.tolist(), seg.rles(), strict=True):
            yield {"image_id": outcome.item["id"], "category_id": 1, "bbox": box, "score": score,
                   "segmentation": mask}  # fmt: skip
