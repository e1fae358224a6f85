"""The tables of the paper as data, and measured figures beside them.

Zhao et al. 2023, "Fast Segment Anything", arXiv:2306.12156, tables 1 to 6. Recall and precision are
in percent, as printed there except for tables 2, which prints fractions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SOURCE = "Zhao et al. 2023, arXiv:2306.12156"
OURS = "FastSAM"
PEERS = {"SAM-B": "build_sam_vit_b", "SAM-H": "build_sam_vit_h",
         "MobileSAM": "build_mobile_sam", "SAM2-T": "build_sam2_t"}  # fmt: skip
"""Networks whose running time can be measured beside, and what makes them in ultralytics."""


@dataclass(frozen=True)
class Table:
    """One table of the paper.

    Attributes
    ----------
    number : int
    title : str
    columns : tuple of str
        As this project names what was measured.
    rows : dict
        Method to values in percent (table 1: milliseconds); None where the paper has none.
    protocol : str
        What has to be the same for figures to be comparable.
    """

    number: int
    title: str
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[float | None, ...]]
    protocol: str


RUN_TIME = Table(
    1,
    "Running time in milliseconds per image, by number of point prompts",
    ("1", "10", "100", "16x16", "32x32", "64x64"),
    {
        "SAM-H": (446, 464, 627, 852, 2099, 6972),
        "SAM-B": (110, 125, 230, 432, 1383, 5417),
        OURS: (40, 40, 40, 40, 40, 40),
    },
    "one NVIDIA GeForce RTX 3090, batch 1, input 1024; NxN is everything mode of SAM",
)

BOUNDARIES = Table(
    2,
    "Edge detection on BSDS500, test set",
    ("ODS", "OIS", "AP", "R50"),
    {
        "HED": (78.8, 80.8, 84.0, 92.3),
        "EDETR": (84.0, 85.8, 89.6, 93.0),
        "Sobel filter": (53.9, None, None, None),
        "Canny": (60.0, 64.0, 58.0, None),
        "Felz-Hutt": (61.0, 64.0, 56.0, None),
        "SAM": (76.8, 78.6, 79.4, 92.8),
        OURS: (75.0, 79.0, 79.3, 90.3),
    },
    "BSDS500 test, 200 images, maxDist 0.0075, 99 thresholds, thinning (the benchmark's defaults; "
    "the paper names none)",
)

COCO_PROPOSALS = Table(
    3,
    "Box proposals on COCO val2017, all categories",
    ("AR@10", "AR@100", "AR@1000", "AUC"),
    {
        "EdgeBoxes": (7.4, 17.8, 33.8, 13.9),
        "Geodesic": (4.0, 18.0, 35.9, 12.6),
        "Selective Search": (5.2, 16.3, 35.7, 12.6),
        "MCG": (10.1, 24.6, 39.8, 18.0),
        "DeepMask": (13.9, 28.6, 43.1, 21.7),
        "OLN-Box": (27.7, 46.1, 55.7, 34.3),
        "SAM-H E64": (15.5, 45.6, 67.7, 32.1),
        "SAM-H E32": (18.5, 49.5, 62.5, 33.7),
        "SAM-B E32": (11.4, 39.6, 59.1, 27.3),
        OURS: (15.7, 47.3, 63.7, 32.2),
    },
    "imgsz 1024, conf 0.001, iou 0.9 as in the authors' script, whose max_det 100 cannot give "
    "AR@1000: 1000 is inferred",
)

LVIS_BOXES = Table(
    4,
    "Box proposals on LVIS v1",
    ("AR@1000", "AR@1000/small", "AR@1000/medium", "AR@1000/large"),
    {
        "ViTDet-H": (65.0, 53.2, 83.3, 91.2),
        "SAM-H E64": (52.1, 36.6, 75.1, 88.2),
        "SAM-H E32": (50.3, 33.1, 76.2, 89.8),
        "SAM-B E32": (45.0, 29.3, 68.7, 80.6),
        OURS: (57.1, 44.3, 77.1, 85.3),
    },
    "as for table 3, categories ignored",
)

LVIS_MASKS = Table(
    5,
    "Mask proposals on LVIS v1",
    (
        "AR@1000", "AR@1000/small", "AR@1000/medium", "AR@1000/large",
        "AR@1000/frequent", "AR@1000/common", "AR@1000/rare",
    ),
    {
        "ViTDet-H (SAM's paper)": (63.0, 51.7, 80.8, 87.0, 63.1, 63.3, 58.3),
        "SAM, single output (SAM's paper)": (54.9, 42.8, 76.7, 74.4, 54.7, 59.8, 62.0),
        "SAM (SAM's paper)": (59.3, 45.5, 81.6, 86.9, 59.1, 63.9, 65.8),
        "ViTDet-H": (59.9, 48.3, 78.1, 84.8, None, None, None),
        "SAM-H E64": (54.2, 39.6, 77.9, 83.9, None, None, None),
        "SAM-H E32": (51.8, 35.2, 78.7, 85.2, None, None, None),
        "SAM-B E32": (45.8, 31.1, 70.5, 73.6, None, None, None),
        OURS: (49.7, 35.6, 72.7, 77.6, None, None, None),
    },
    "as for table 4; the paper could not reproduce the figures of SAM's paper",
)  # fmt: skip

COCO_INSTANCES = Table(
    6,
    "Instances on COCO val2017, prompted with ViTDet-H's boxes",
    ("AP", "AP/small", "AP/medium", "AP/large"),
    {
        "ViTDet-H": (51.0, 32.0, 54.3, 68.9),
        "SAM": (46.5, 30.8, 51.0, 61.7),
        OURS: (37.9, 23.9, 43.4, 50.0),
    },
    "for each box of ViTDet-H the instance whose box overlaps it most (section 3.2)",
)

LVIS_INSTANCES = Table(
    6,
    "Instances on LVIS v1, prompted with ViTDet-H's boxes",
    ("AP", "AP/small", "AP/medium", "AP/large"),
    {
        "ViTDet-H": (46.6, 35.0, 58.0, 66.3),
        "SAM": (44.7, 32.5, 57.6, 65.5),
        OURS: (34.5, 24.6, 46.2, 50.8),
    },
    "as on COCO",
)

TABLES = (
    RUN_TIME, BOUNDARIES, COCO_PROPOSALS, LVIS_BOXES, LVIS_MASKS, COCO_INSTANCES, LVIS_INSTANCES,
)  # fmt: skip


def compare(measured: Mapping[str, float | int], table: Table) -> list[dict[str, float | str]]:
    """Figures of a table that were measured, beside FastSAM's, in percent points.

    Parameters
    ----------
    measured : mapping
        Fractions by name, as the evaluations give them.
    table : Table

    Returns
    -------
    list of dict
        ``name``, ``measured``, ``published`` and ``difference``.
    """
    lines: list[dict[str, float | str]] = []
    for name, published in zip(table.columns, table.rows[OURS], strict=True):
        value = measured.get(name)
        if published is None or value is None or value != value:
            continue
        ours = 100 * float(value)
        lines.append(
            {"name": name, "measured": ours, "published": published, "difference": ours - published}
        )
    return lines
