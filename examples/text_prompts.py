"""What fits some words best: python text_prompts.py [CLIP].

CLIP is a name of open_clip or a folder of weights; without one it is ViT-B-32 by OpenAI, which
``fastsam models --download ViT-B-32/openai`` gets.
"""

import sys

from fastsam_plugins import FastSAM, TextOptions, WeightsError, read_image
from fastsam_plugins.paths import SAMPLES

clip = sys.argv[1] if len(sys.argv) > 1 else TextOptions().clip
texts = ["a cup", "a spoon", "a wooden table"]

seg = FastSAM("FastSAM-n").segment(read_image(SAMPLES / "coffee.jpg"), conf=0.1)
try:
    found = seg.select(text=texts, clip=clip)  # one for each text
except WeightsError as error:  # nothing is downloaded unasked
    sys.exit(f"No words without a CLIP: {error}")
for one in found:
    print(f"{texts[one.prompts[0]]}: {one.areas[0]} pixels, box {one.boxes[0].round()}")
