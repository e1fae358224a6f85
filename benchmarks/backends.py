"""One input through a network by every backend and precision, and how far that is from what the
processor can do.

    python -m benchmarks.backends [IMGSZ] [DEVICE] [MODEL]

Operations are counted by PyTorch; the peak is that of a large matrix product in the same numbers.
Outputs are compared with PyTorch's in float32 first: `fastest` says how near masks are.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.common import milliseconds, row
from fastsam_plugins.network import backends, weights
from fastsam_plugins.network.devices import device_name
from fastsam_plugins.network.output import Backend

# Of prototypes, which are about 1; a share of anchors may differ more.
NEAR = {"f32": 1e-3, "bf16": 0.1, "f16": 0.02}


def best(work: Callable[[], Any], rounds: int = 15) -> float:
    """Least seconds of a call, after two that do not count."""
    times = []
    for _ in range(rounds + 2):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times[2:])


def operations(module: torch.nn.Module, imgsz: int) -> float:
    """Multiplications and additions of one input."""
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        module(torch.zeros(1, 3, imgsz, imgsz))
    return float(counter.get_total_flops())


def peak(precision: str, device: str) -> float:
    """Operations per second of a matrix product."""
    kind = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}[precision]
    side = 2048 if device == "cpu" else 8192
    a = torch.rand(side, side, device=device).to(kind)
    return 2 * side**3 / best(lambda: (a @ a)[0, 0].item(), 5)  # asking for a number waits for it


def check(running: Backend, plain: Backend, canvas: np.ndarray, precision: str) -> None:
    """Outputs are near PyTorch's."""
    (own,), (other,) = running.run(canvas, -1.0), plain.run(canvas, -1.0)
    away = np.abs(own.prototypes - other.prototypes)
    assert np.quantile(away, 0.999) < NEAR[precision], float(np.quantile(away, 0.999))


def main() -> None:
    imgsz = int(sys.argv[1]) if len(sys.argv) > 1 else 512
    device = device_name(sys.argv[2] if len(sys.argv) > 2 else "cpu")
    network = weights.load(sys.argv[3] if len(sys.argv) > 3 else "FastSAM-n")
    count = operations(network.module, imgsz)
    canvas = np.random.default_rng(0).integers(0, 256, (1, imgsz, imgsz, 3), np.uint8)
    plain = backends.make("torch", "f32", network, "cpu")
    print(f"{network.name} on {device}, {torch.get_num_threads()} threads, imgsz {imgsz}, "
          f"{count / 1e9:.1f} GFLOP per input\n")  # fmt: skip
    ways = backends.possible("auto", "auto", device)
    if device == "cpu":
        ways.append(("torch", "bf16"))
    for other, fits in (("onnx", device == "cpu"), ("tensorrt", device.startswith("cuda"))):
        if fits and backends.installed(other):
            ways += backends.possible(other, "auto", device)
    peaks = {precision: peak(precision, device) for _, precision in ways}
    of_peak = "of a matrix product's"
    row("backend", "precision", "one input", "against torch f32", "GFLOP/s", of_peak)
    row(*["---"] * 6)
    first = 0.0
    for name, precision in ways:
        running = backends.make(name, precision, network, device)
        check(running, plain, canvas, precision)
        seconds = best(lambda r=running: r.run(canvas, 0.5))
        first = first or seconds
        ratio, share = first / seconds, count / seconds / peaks[precision]
        row(name, precision, milliseconds(seconds), f"{ratio:.2f}×",
            f"{count / seconds / 1e9:.0f}", f"{share:.0%}")  # fmt: skip


if __name__ == "__main__":
    main()
