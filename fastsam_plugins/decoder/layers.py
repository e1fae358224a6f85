"""The few layers of the decoder, in numpy: answering a prompt loads no PyTorch.

Maps are float32 arrays (n, height, width, channels), so that a convolution is one product of
matrices. Normalisation is folded into the weights before (:mod:`fastsam_plugins.decoder.modules`).
"""

from __future__ import annotations

import numpy as np

from fastsam_plugins.masks.sampling import Floats

_SHORT = 1 << 18  # multiplications that BLAS leaves to one thread


def product(x: Floats, weight: Floats) -> Floats:
    """Rows (n, in) times ``weight`` (in, out), a few rows at a time.

    BLAS shares longer products between threads, which on a busy machine wait for each other a
    hundred times as long as the work takes: 0.4 ms became 200.
    """
    rows = max(_SHORT // weight.size, 1)
    whole = len(x) // rows * rows
    x, weight = np.ascontiguousarray(x), np.ascontiguousarray(weight)
    out = np.empty((len(x), weight.shape[1]), np.float32)
    parts = out[:whole].reshape(-1, rows, weight.shape[1])
    np.matmul(x[:whole].reshape(-1, rows, x.shape[1]), weight, out=parts)
    np.matmul(x[whole:], weight, out=out[whole:])
    return out


def dense(x: Floats, weight: Floats, bias: Floats) -> Floats:
    """A linear layer on the last axis; ``weight`` is (out, in)."""
    out = product(x.reshape(-1, x.shape[-1]), weight.T)
    out += bias
    return out.reshape(*x.shape[:-1], len(weight))


def convolution(x: Floats, weight: Floats, bias: Floats, step: int = 1, apart: int = 1) -> Floats:
    """A 3 x 3 convolution with zeros around; ``weight`` (out, in, 3, 3), ``apart`` its dilation."""
    count, height, width, channels = x.shape
    padded = np.zeros((count, height + 2 * apart, width + 2 * apart, channels), np.float32)
    padded[:, apart:-apart, apart:-apart] = x
    rows, columns = -(-height // step), -(-width // step)
    seen = np.empty((count, rows, columns, 9, channels), np.float32)
    for k in range(9):
        top, left = apart * (k // 3), apart * (k % 3)
        seen[:, :, :, k] = padded[:, top : top + height : step, left : left + width : step]
    flat = weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)
    return dense(seen.reshape(count, rows, columns, -1), flat, bias)


def rectified(x: Floats) -> Floats:
    """Negative values become 0, in place."""
    return np.maximum(x, 0, out=x)


def doubled(x: Floats) -> Floats:
    """Twice as large, bilinear with half-pixel centres."""
    for axis in (1, 2):
        count = x.shape[axis]
        near = np.arange(count)
        before, after = np.maximum(near - 1, 0), np.minimum(near + 1, count - 1)
        most = np.float32(0.75) * x
        pair = [most + np.float32(0.25) * np.take(x, k, axis) for k in (before, after)]
        shape = list(x.shape)
        shape[axis] = 2 * count
        x = np.stack(pair, axis + 1).reshape(shape)
    return x


def sigmoid(x: Floats) -> Floats:
    """From logits to probabilities."""
    return np.asarray(1 / (1 + np.exp(-x)), np.float32)
