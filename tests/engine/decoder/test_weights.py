"""Decoders on disk."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins.decoder import weights
from fastsam_plugins.paths import BUNDLED


def test_a_decoder_survives_its_file(arrays, tmp_path):
    path = tmp_path / f"a{weights.ENDING}"
    weights.write(path, arrays, "f" * 64)
    read = weights.read(path)
    assert read.network == "f" * 64
    assert read.arrays.keys() == arrays.keys()
    for name, value in arrays.items():
        assert np.allclose(read.arrays[name], value, rtol=2e-3, atol=1e-4), name


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda a: a.pop("up.bias"), "up.bias"),
        (lambda a: a.update({"extent.weight": np.zeros((3, 4))}), "extent"),
        (lambda a: a.update({"fine.weight": np.full_like(a["fine.weight"], np.nan)}), "finite"),
    ],
)
def test_a_wrong_file_is_one_line(arrays, tmp_path, harm, told):
    path = tmp_path / f"a{weights.ENDING}"
    changed = dict(arrays)
    harm(changed)
    weights.write(path, changed, "f" * 64)
    with pytest.raises(ValueError, match=told) as caught:
        weights.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_decoder_at_all_is_one_line(tmp_path):
    path = tmp_path / f"a{weights.ENDING}"
    with pytest.raises(ValueError, match="there is no decoder"):
        weights.read(path)
    for content in (b"", b"hello", b"\xff" * 100):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is no decoder") as caught:
            weights.read(path)
        assert "\n" not in str(caught.value)


def test_a_decoder_of_other_weights_is_refused(arrays, tmp_path):
    weights.write(tmp_path / f"net{weights.ENDING}", arrays, "f" * 64)
    with pytest.raises(ValueError, match="other weights"):
        weights.find(tmp_path / "net.safetensors", "e" * 64)
    assert weights.find(tmp_path / "another.pt", "e" * 64) is None


def test_the_bundled_decoder_is_known_by_its_sum():
    bundled = weights.read(weights.beside(BUNDLED))
    assert weights.known(bundled.sha256) is weights.read(weights.beside(BUNDLED))
    assert weights.known("f" * 64) is None
    assert weights.known("") is None
