"""Segment one image, then ask for a point and a box: python segment_and_prompt.py [IMAGE]."""

import sys
from pathlib import Path

from fastsam_plugins import FastSAM, read_image
from fastsam_plugins.io import ImageResult, write_results
from fastsam_plugins.paths import SAMPLES

path = Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLES / "coins.png"
image = read_image(path)
seg = FastSAM("FastSAM-n").segment(image, conf=0.25)
print(seg)

x, y = seg.boxes[0].reshape(2, 2).mean(0)  # the middle of the surest one
by_point = seg.select(points=[(x, y)], points_mode="smallest")
by_box = seg.select(boxes=[seg.boxes[0]])
print(f"The point ({x:.0f}, {y:.0f}) picks {by_point.areas} pixels, the box {by_box.areas}")

write_results([ImageResult(path, image, seg)], "all.png")
write_results([ImageResult(path, image, by_point)], "picked.png", points=[(x, y, 1)])
