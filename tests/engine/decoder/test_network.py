"""The decoder in numpy against the modules that were trained, in PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastsam_plugins.decoder.network import Decoder
from fastsam_plugins.decoder.windows import GRID, sampled


@pytest.mark.parametrize("count", [1, 3])
def test_masks_and_their_quality_are_those_of_pytorch(trained, arrays, count):
    refiner, _ = trained
    rng = np.random.default_rng(count)
    features = [rng.normal(size=(c, s, s + 4)).astype(np.float32)
                for c, s in ((8, 32), (12, 16), (16, 8))]  # fmt: skip
    prototypes = rng.normal(size=(32, 64, 72)).astype(np.float32)
    fine = rng.normal(size=(count, GRID, GRID, 10)).astype(np.float32)
    extent = rng.normal(size=(count, 4)).astype(np.float32)
    corners = [np.array([0.1, -0.2, 0.7, 0.9]) + 0.1 * k for k in range(count)]
    with torch.no_grad():
        given = [torch.from_numpy(f)[None] for f in features]
        protos = torch.from_numpy(prototypes)[None]
        coarse = [refiner.crop(given, protos, torch.from_numpy(c).float()) for c in corners]
        maps, ious = refiner(
            torch.cat(coarse), torch.from_numpy(fine).permute(0, 3, 1, 2), torch.from_numpy(extent)
        )
    decoder = Decoder(arrays, "")
    kept = [m.astype(np.float32) for m in decoder.project([g[0].numpy() for g in given])]
    seen = [np.concatenate([*(sampled(m, c, GRID // 2) for m in kept),
                            sampled(prototypes, c, GRID // 2)]) for c in corners]  # fmt: skip
    own_maps, own_ious = decoder.refine(np.moveaxis(np.stack(seen), 1, 3), fine, extent)
    # Kept features are of half precision.
    assert np.allclose(own_maps, maps, atol=0.05 * float(maps.std()))
    assert np.corrcoef(own_maps.ravel(), maps.numpy().ravel())[0, 1] > 0.9999
    assert np.allclose(own_ious, ious.sigmoid(), atol=5e-3)
