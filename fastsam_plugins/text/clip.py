"""A loaded CLIP: words and pixels to the features in which they are compared."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.images.windowed_image import LARGE_SIDE, WindowedImage
from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import Precision, TextOptions
from fastsam_plugins.text import crops, dense, text_encoder
from fastsam_plugins.text.pixels import Pixels
from fastsam_plugins.text.precision import halved, is_half

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float32]

_REMEMBERED = 1000  # texts
_TOLD = 1000  # numbers of a parameter that a fingerprint is taken of


class Clip:
    """An open_clip model, its tokenizer and how it wants its images.

    Usually made by :func:`fastsam_plugins.text.loading.load`; any model made by open_clip will do.

    Parameters
    ----------
    model : torch.nn.Module
        As ``open_clip.create_model`` gives it; its parameters stay where they are.
    tokenizer : callable
        List of texts to token ids (T, L).
    name : str

    References
    ----------
    Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision",
    arXiv:2103.00020.
    """

    def __init__(
        self, model: Any, tokenizer: Callable[[list[str]], torch.Tensor], name: str = "CLIP"
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.name = name
        self.device = next(model.parameters()).device
        self.pixels = Pixels.of(model.visual.preprocess_cfg)
        self._tokenizer = tokenizer
        self._texts: OrderedDict[str, Floats] = OrderedDict()
        self._half: Any = None

    def __repr__(self) -> str:
        return f"Clip({self.name}, {self.device})"

    @cached_property
    def fingerprint(self) -> str:
        """What tells this CLIP from others: a SHA-256 of the first numbers of every parameter."""
        digest = hashlib.sha256()
        for name, values in sorted(self.model.state_dict().items()):
            first = values.reshape(-1)[:_TOLD].float().cpu().numpy()
            digest.update(name.encode() + str(tuple(values.shape)).encode() + first.tobytes())
        return digest.hexdigest()

    def text_features(self, texts: Sequence[str]) -> Floats:
        """Unit vectors (T, D) of texts; those asked for lately are remembered."""
        new = [t for t in dict.fromkeys(texts) if t not in self._texts]
        if new:
            import torch

            with torch.inference_mode():
                tokens = self._tokenizer(new).to(self.device)
                features = _units(text_encoder.encode(self.model, tokens))
            self._texts.update(zip(new, features, strict=True))
        out = np.stack([self._texts[t] for t in texts])
        for text in texts:
            self._texts.move_to_end(text)
        while len(self._texts) > _REMEMBERED:
            self._texts.popitem(last=False)
        return out

    def crop_features(
        self,
        image: NDArray[np.uint8] | WindowedImage,
        masks: Iterable[R.Runs],
        options: TextOptions,
    ) -> Floats:
        """Unit vectors (N, D) of instances cut out of an image (H, W, 3), none of them empty."""
        import torch

        features = []
        model, kind = self._looking(options.clip_precision)
        with torch.inference_mode():
            parts = crops.batches(image, masks, self.pixels, options.background, options.chunk)
            for batch in parts:
                features.append(_units(model.encode_image(batch.to(self.device, kind))))
        return np.concatenate(features) if features else np.empty((0, 0), np.float32)

    def image_tokens(
        self,
        image: NDArray[np.uint8] | WindowedImage,
        longest: int | None = None,
        precision: Precision = "auto",
    ) -> Floats:
        """Tokens (D, h, w) of a whole image (H, W, 3); see :mod:`fastsam_plugins.text.dense`.

        Raises
        ------
        ValueError
            If this kind of network has none.
        """
        import torch

        size = dense.input_size(self.model.visual, image.shape[:2], longest)
        if isinstance(image, WindowedImage):
            image = image.reduced(LARGE_SIDE)
        model, kind = self._looking(precision)
        with torch.inference_mode():
            batch = self.pixels.normalize(self.pixels.resize(image, size)[None])
            tokens = dense.tokens(model.visual, batch.to(self.device, kind))[0]
            return np.asarray(tokens.float().cpu().numpy())

    def _looking(self, precision: Precision) -> tuple[Any, torch.dtype]:
        """The model that looks at images, and what kind of numbers it takes."""
        model = self.model
        if is_half(precision, self.device):
            if self._half is None:
                self._half = halved(model, self.device)
            model = self._half
        return model, next(model.visual.parameters()).dtype


def pooled(tokens: Floats, masks: Iterable[R.Runs], shape: R.Shape) -> Floats:
    """Unit vectors (N, D): the mean of tokens (D, h, w) under each mask of an image (H, W)."""
    cells = tokens.reshape(len(tokens), -1)
    weights = [dense.coverage(mask, shape, tokens.shape[1:]).ravel() for mask in masks]
    means = np.array(weights, np.float32).reshape(-1, cells.shape[1]) @ cells.T
    return np.asarray(means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12))


def _units(features: torch.Tensor) -> Floats:
    import torch

    unit = torch.nn.functional.normalize(features.float(), dim=-1)
    return np.asarray(unit.cpu().numpy())
