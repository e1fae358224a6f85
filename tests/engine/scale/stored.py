"""What results hold, and files in a store."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from fastsam_plugins.options import SegmentOptions

SMALL = SegmentOptions(imgsz=160, conf=0.2)


def hashes(address) -> dict[str, str]:
    """A hash of every row by image; none is there twice."""
    from fastsam_plugins.scale.results import Results

    found: dict[str, str] = {}
    for row in Results(str(address)).rows():
        name = row["image"].rpartition("/")[2]
        assert name not in found
        kept = {k: v for k, v in row.items() if k not in ("image", "error")}
        found[name] = hashlib.sha256(repr(sorted(kept.items())).encode()).hexdigest()
    return found


def put(folder: Path, address: str) -> None:
    """The files of a folder into a store."""
    from fastsam_plugins.scale import places

    for name in sorted(os.listdir(folder)):
        places.write_bytes(f"{address}/{name}", (folder / name).read_bytes())
