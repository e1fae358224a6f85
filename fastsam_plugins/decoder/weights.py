"""Decoders on disk: ``NAME.decoder.safetensors`` beside the weights that they are for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.decoder.network import APART, SCALES, Decoder
from fastsam_plugins.io import atomic
from fastsam_plugins.masks.sampling import Floats
from fastsam_plugins.messages import one_line
from fastsam_plugins.network.downloads import sha256_of
from fastsam_plugins.paths import BUNDLED

ENDING = ".decoder.safetensors"
VERSION = "1"


def beside(weights: Path) -> Path:
    """Where the decoder of weights lies, if there is one."""
    return weights.with_name(weights.name.removesuffix(weights.suffix) + ENDING)


def named(name: str | Path) -> Path:
    """The file of a decoder: FastSAM-n is the bundled one."""
    return beside(BUNDLED) if name == BUNDLED.stem else Path(name).expanduser()


def find(weights: Path, sha256: str, name: str | Path | None = None) -> Decoder | None:
    """The decoder of a network: one that is named, or that beside its weights; None without one.

    Raises
    ------
    ValueError
        If the file is damaged, or for other weights.
    """
    path = beside(weights) if name is None else Path(name).expanduser()
    if name is None and not path.is_file():
        return None
    try:
        decoder = read(path)
    except ValueError as error:
        if name is not None:
            raise
        raise ValueError(
            f"{error}: delete it, or train another with fastsam train-decoder"
        ) from None
    if decoder.network != sha256:
        raise ValueError(
            f"{path} was trained for other weights than {weights.name}: move it away, or train one "
            "with fastsam train-decoder"
        )
    return decoder


_LOADED: dict[str, Decoder] = {}


def known(sha256: str) -> Decoder | None:
    """A decoder by the SHA-256 of its file: the bundled one, or one that was read before."""
    bundled = beside(BUNDLED)
    if sha256 and sha256 not in _LOADED and bundled.is_file():
        read(bundled)
    return _LOADED.get(sha256)


def write(path: Path, arrays: Mapping[str, NDArray], network: str) -> None:
    """Write the arrays of a decoder for the network with this SHA-256, in half precision."""
    from safetensors.numpy import save

    half = {k: np.ascontiguousarray(v, np.float16) for k, v in arrays.items()}
    about = {"decoder": json.dumps({"version": VERSION, "network": network})}
    atomic.write_bytes(path, save(half, metadata=about))


def read(path: str | Path) -> Decoder:
    """Read a decoder.

    Raises
    ------
    ValueError
        If the file is no decoder; one line that says why.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    try:
        with safe_open(path, "numpy") as content:
            told = (content.metadata() or {}).get("decoder")
            if told is None:
                raise ValueError("it holds something else")
            about = json.loads(told)
            arrays = {k: content.get_tensor(k).astype(np.float32) for k in content.keys()}  # noqa: SIM118
        if about["version"] != VERSION:
            raise ValueError(f"it is of version {about['version']}, this reads {VERSION}")
        if not all(np.isfinite(v).all() for v in arrays.values()):
            raise ValueError("its parameters are not all finite")
        _check(arrays)
        decoder = Decoder(arrays, str(about["network"]), sha256_of(path))
        return _LOADED.setdefault(decoder.sha256, decoder)
    except FileNotFoundError:
        raise ValueError(f"there is no decoder {path}") from None
    except (KeyError, OSError, SafetensorError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no decoder: {one_line(error)}") from None


_BODY = [f"body.{k}.{part}" for k in range(len(APART)) for part in "ab"]
_NAMES = ["rank.norm", "rank.0", "rank.1", "rank.2", *(f"project.{k}" for k in range(SCALES)),
          "fine", "down", "coarse", "extent", *_BODY, "up", "out.a", "out.b", "quality.0",
          "quality.1"]  # fmt: skip


def _check(arrays: Mapping[str, Floats]) -> None:
    """That layers are there and fit each other."""
    for name in _NAMES:
        weight, bias = arrays[f"{name}.weight"], arrays[f"{name}.bias"]
        if bias.ndim != 1 or (name != "rank.norm" and len(weight) != len(bias)):
            raise ValueError(f"its {name} is of shapes {weight.shape} and {bias.shape}")
    wide = len(arrays["down.bias"])
    kept = sum(len(arrays[f"project.{k}.bias"]) for k in range(SCALES))
    expected = {
        "down.weight": (wide, len(arrays["fine.bias"]), 3, 3),
        "extent.weight": (wide, 4),
        "up.weight": (len(arrays["up.bias"]), wide),
        "quality.0.weight": (len(arrays["quality.0.bias"]), 2 * wide + 5),
    }
    for name, shape in expected.items():
        if arrays[name].shape != shape:
            raise ValueError(f"its {name} is of shape {arrays[name].shape}, not {shape}")
    if arrays["coarse.weight"].ndim != 2 or arrays["coarse.weight"].shape[1] <= kept:
        raise ValueError(f"its coarse.weight is of shape {arrays['coarse.weight'].shape}")
