"""One forward pass of FastSAM-n on this processor, by backend, beside PyTorch.

    python -m benchmarks.backends [IMGSZ]

Outputs are checked equal first.
"""

from __future__ import annotations

import sys

import torch

from benchmarks.common import median_seconds, milliseconds, row
from fastsam_plugins.network import backends, weights


def main() -> None:
    imgsz = int(sys.argv[1]) if len(sys.argv) > 1 else 640
    network = weights.load("FastSAM-n")
    inputs = torch.rand(1, 3, imgsz, imgsz)
    cpu = torch.device("cpu")
    runs = {
        name: backends.make(name, network.module, cpu) for name in ("torch", "openvino", "onnx")
    }
    expected = runs["torch"](inputs)[1]
    assert all(torch.allclose(run(inputs)[1], expected, atol=1e-3) for run in runs.values())
    times = {name: median_seconds(lambda r=run: r(inputs), 9) for name, run in runs.items()}
    print(f"{torch.get_num_threads()} CPU threads, imgsz {imgsz}; outputs equal.\n")
    row("backend", "forward pass", "against torch")
    row(*["---"] * 3)
    for name, seconds in times.items():
        row(name, milliseconds(seconds), f"{times['torch'] / seconds:.2f}×")


if __name__ == "__main__":
    main()
