"""The list of what the paper shows, and the way to run some of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from fastsam_plugins.evaluation import published
from fastsam_plugins.options import RunOptions, TextOptions
from fastsam_plugins.paper import boxes, edges, galleries, proposals, runtime, texts, weaknesses
from fastsam_plugins.paper.report import Item, Outcome
from fastsam_plugins.paper.setting import Missing, Setting

ITEMS = (
    Item("table 1", "running time in ms by number of point prompts (figure 1a, 50× and 170×)",
         "needs no data; `--peer SAM-H` and others beside it", runtime.run_time,
         published.RUN_TIME),
    Item("table 2", "edges (figure 4)",
         "needs `bsds500/`, `bsds500_test/`, `bsds_test/` or `bsds_val/` with `images/*.jpg` and "
         "`groundTruth/*.mat`", edges.edges,
         published.BOUNDARIES),
    Item("table 3", "box proposals on COCO (figure 5)",
         "needs `coco/` or `coco_val2017/`: COCO instances with their images", proposals.coco,
         published.COCO_PROPOSALS),
    Item("table 4", "box proposals on LVIS", "needs `lvis/` with one `.json` and `images/`",
         proposals.lvis_boxes, published.LVIS_BOXES),
    Item("table 5", "mask proposals on LVIS", "needs `lvis/` with one `.json` and `images/`",
         proposals.lvis_masks, published.LVIS_MASKS),
    Item("table 6", "instances for a detector's boxes",
         "needs `coco_instances/` with `instances.json`, `images/` and, of a detector, "
         "`boxes.json`", boxes.instances, published.COCO_INSTANCES),
    Item("figure 6", "text to masks",
         "needs `text/` or `coco_instances/` with `instances.json` and `images/`, and a CLIP "
         "(`--clip`)", texts.texts),
    Item("figure 7", "anomalies", "needs `anomaly/` or `mvtec/`: images and label images",
         galleries.anomalies),
    Item("figure 8", "salient objects", "needs `saliency/` or `redweb_s/`: images and label images",
         galleries.salient),
    Item("figure 9", "buildings", "needs `buildings/` or `whu/`: images and label images",
         galleries.buildings),
    Item("figure 10", "the weaknesses of section 6 (and figure 11)",
         "needs `coco/` and `nuclei/`: COCO instances with their images", weaknesses.weaknesses),
)  # fmt: skip


def chosen(tables: Sequence[int], figures: Sequence[int]) -> list[Item]:
    """The items of these numbers; all if there are none.

    Raises
    ------
    ValueError
        If there is no such item.
    """
    keys = [f"table {n}" for n in tables] + [f"figure {n}" for n in figures]
    also = {"figure 1": "table 1", "figure 4": "table 2", "figure 5": "table 3",
            "figure 11": "figure 10"}  # fmt: skip
    keys = [also.get(key, key) for key in keys]
    known = {item.key: item for item in ITEMS}
    if strange := [key for key in keys if key not in known]:
        there = ", ".join(sorted([*known, *also], key=lambda k: (k[0] != "t", int(k.split()[1]))))
        raise ValueError(f"there is no {strange[0]} to measure: there are {there}")
    return [item for item in ITEMS if not keys or item.key in keys]


def run(items: Sequence[Item], setting: Setting) -> Iterator[Outcome]:
    """Measure items one after another; why one cannot be is told in its outcome."""
    for item in items:
        start = time.perf_counter()
        finding, missing, failed = None, "", False
        try:
            finding = item.run(setting)
        except Missing as why:
            missing = str(why)
        except (ValueError, OSError, ImportError) as error:  # the others do not suffer for it
            missing, failed = " ".join(str(error).split()), True
        spent = time.perf_counter() - start
        yield Outcome(item, command(item, setting), finding, missing, spent, failed)


def command(item: Item, setting: Setting) -> str:
    """What measures an item alone, as it is measured in this setting."""
    kind, number = item.key.split()
    words = ["fastsam paper", f"--{kind} {number}", "--data DATA"]
    if setting.model.network.name != RunOptions().model:
        words.append(f"--model {setting.model.network.name}")
    if setting.limit:
        words.append(f"--limit {setting.limit}")
    if item.run is runtime.run_time:
        words += [f"--peer {peer}" for peer in setting.peers]
    if item.run is texts.texts and setting.clip != TextOptions().clip:
        words.append(f"--clip {setting.clip}")
    return " ".join([*words, "-o paper.md"])
