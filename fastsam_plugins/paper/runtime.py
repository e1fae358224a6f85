"""Table 1 and figure 1a: running time by number of point prompts, beside SAM's."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.evaluation.published import PEERS, RUN_TIME
from fastsam_plugins.io import read_image
from fastsam_plugins.network import ultralytics_guard
from fastsam_plugins.options import SegmentOptions
from fastsam_plugins.paper.report import Finding
from fastsam_plugins.paper.setting import Setting
from fastsam_plugins.paths import samples

_COUNTS = {"1": 1, "10": 10, "100": 100, "16x16": 256, "32x32": 1024, "64x64": 4096}
_TOGETHER = 64  # point prompts that SAM's generator decodes in one go
_ROUNDS = 3


def run_time(setting: Setting) -> Finding:
    """Of the network and of the peers that were asked for."""
    model, imgsz = setting.model, 1024
    options = SegmentOptions(imgsz=imgsz)
    rows: list[tuple[str, tuple[Any, ...]]] = []
    for mode in ("union", "each"):
        times = []
        for count in _COUNTS.values():
            spent = []
            for image in [read_image(path) for path in samples()]:
                points = grid(image.shape[:2], count)

                def work(image: Any = image, points: Any = points, mode: Any = mode) -> Any:
                    return model.segment(image, options).select(points=points, points_mode=mode)

                spent.append(seconds(work))
            times.append(1000 * float(np.mean(spent)))
        rows.append((f"{model.network.name}, {model.backend.label}, `{mode}`", tuple(times)))
    notes = [
        f"Milliseconds for an image of up to {imgsz} px, which the network sees at that size here, "
        f"from an array to the answer of all points; median of {_ROUNDS} runs, mean of the sample "
        "images.",
    ]
    if model.network.name != "FastSAM-x":
        notes.append(
            "The paper's row is of FastSAM-x, a network many times as large as "
            f"{model.network.name}: `--model FastSAM-x` times it."
        )
    for peer in setting.peers:
        rows.append((f"{peer}, random numbers", tuple(_peer(peer, model.device))))
    if setting.peers:
        notes.append(
            "Peers have random numbers for weights, which their time does not depend on. Their "
            "encoder was timed, and their decoder for up to "
            f"{_TOGETHER} points; figures of more points are computed from these, as their "
            f"everything mode decodes {_TOGETHER} at a time. What SAM does with its masks "
            "afterwards is not in it."
        )
        ratios = [r[1][4] / rows[0][1][4] for r in rows[2:]]
        said = ", ".join(f"{r:.0f}× {p}" for p, r in zip(setting.peers, ratios, strict=True))
        notes.append(f"At 32x32 points, times as long as {model.network.name}: {said}.")
    return Finding(RUN_TIME.columns, rows, "the sample images", notes)


def grid(shape: tuple[int, ...], count: int) -> NDArray[np.float64]:
    """Points (count, 2) in a regular grid; of no square number, the first of the next larger."""
    side = int(np.ceil(np.sqrt(count)))
    places = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(places * shape[1], places * shape[0])
    return np.stack([x.ravel(), y.ravel()], axis=1)[:count]


def seconds(work: Callable[[], Any]) -> float:
    """Median of some runs, after one that does not count."""
    times = []
    for _ in range(_ROUNDS + 1):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:]))


def _peer(name: str, device: Any) -> list[float]:
    """Milliseconds for each number of points."""
    import torch

    build = getattr(ultralytics_guard.module("models.sam.build"), PEERS[name])
    network = build(checkpoint=None).to(device).eval()
    image = torch.zeros(1, 3, 1024, 1024, device=device)

    def synchronised(work: Callable[[], Any]) -> Callable[[], Any]:
        def both() -> Any:
            with torch.inference_mode():
                made = work()
                if device.type == "cuda":
                    torch.cuda.synchronize()
                return made

        return both

    if name.startswith("SAM2"):
        encode = synchronised(lambda: network.forward_image(image))
        maps = encode()["backbone_fpn"]
        encoder, decoder = network.sam_prompt_encoder, network.sam_mask_decoder
        more = {"repeat_image": True, "high_res_features": maps[:-1]}
        features = maps[-1]
    else:
        encode = synchronised(lambda: network.image_encoder(image))
        features = encode()
        encoder, decoder, more = network.prompt_encoder, network.mask_decoder, {}

    def decode(points: int) -> Callable[[], Any]:
        def work() -> Any:
            where = torch.rand(points, 1, 2, device=device) * 1024
            sparse, dense = encoder(
                points=(where, torch.ones(points, 1, device=device)), boxes=None, masks=None
            )
            return decoder(
                image_embeddings=features, image_pe=encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse, dense_prompt_embeddings=dense,
                multimask_output=True, **more,
            )  # fmt: skip

        return synchronised(work)

    once = seconds(encode)
    batches = {n: seconds(decode(n)) for n in (1, 10, 36, _TOGETHER)}
    return [
        1000 * (once + count // _TOGETHER * batches[_TOGETHER] + batches.get(count % _TOGETHER, 0))
        for count in _COUNTS.values()
    ]
