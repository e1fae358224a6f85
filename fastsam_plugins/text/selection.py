"""Prompt-guided selection by text (section 3.2 of the paper): words pick among the instances.

How well an instance fits a text is a number of its own, the cosine of their CLIP features; the
detector's confidence has no part in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.options import TextOptions
from fastsam_plugins.parameters import Options
from fastsam_plugins.prompts import ALONE, Texts, check_texts
from fastsam_plugins.selection import Selection
from fastsam_plugins.text import head
from fastsam_plugins.text.clip import Clip
from fastsam_plugins.text.dense import NoTokensError
from fastsam_plugins.text.features import ImageFeatures
from fastsam_plugins.text.shortlist import WORTH, shortlist

if TYPE_CHECKING:
    from fastsam_plugins.segmentation import Segmentation


def similarity(
    seg: Segmentation, text: Texts, options: TextOptions, clip: Clip | None = None
) -> NDArray[np.float32]:
    """See :meth:`fastsam_plugins.Segmentation.similarity`."""
    texts = check_texts("text", text)
    if options.features != "head":
        _look(seg.image_features)
    if not len(seg):
        cosines = np.empty((0, len(texts)), np.float32)
    else:
        clip = clip or _load(options, seg.image_features)
        features = _features(seg, options, clip)
        # Masks too small to be looked at alone: there is nothing to multiply.
        cosines = np.full((len(seg), len(texts)), np.nan, np.float32)
        if features.shape[1]:
            cosines = features @ clip.text_features(texts).T
    return cosines[:, 0] if isinstance(text, str) and len(texts) == 1 else cosines


def select(
    seg: Segmentation,
    text: Texts,
    negatives: Texts | None,
    options: TextOptions,
    clip: Clip | None = None,
) -> Selection:
    """See :meth:`fastsam_plugins.Segmentation.select`."""
    texts = check_texts("text", text)
    against = check_texts("negatives", negatives) if negatives is not None else []
    among = promising(seg, texts, against, options, clip)
    cosines = similarity(seg[among], [*texts, *against], options, clip)
    wanted, unwanted = cosines[:, : len(texts)], cosines[:, len(texts) :]
    allowed = wanted >= options.threshold  # never true of NaN
    if against:
        allowed &= wanted > unwanted.max(1, keepdims=True)
    chosen, answers = [], []
    for t in range(len(texts)):
        here = np.flatnonzero(allowed[:, t])
        best = here[np.argsort(-wanted[here, t], kind="stable")][: options.top_k or None]
        chosen.append(best)
        answers.append(np.full(len(best), t))
    return Selection(
        among[np.concatenate([np.empty(0, np.int64), *chosen])],
        np.concatenate([np.empty(0, np.int64), *answers]),
    )


def promising(
    seg: Segmentation,
    texts: list[str],
    against: list[str],
    options: TextOptions,
    clip: Clip | None,
) -> NDArray[np.int64]:
    """The instances (K,) that a text may pick: all, but for what ``auto`` need not cut out."""
    every = np.arange(len(seg))
    few = options.shortlist + options.top_k - 1
    if options.features != "auto" or not options.top_k or len(seg) <= WORTH * few:
        return every
    try:
        rough = similarity(seg, [*texts, *against], options.replace(features="dense"), clip)
    except NoTokensError:
        return every
    return shortlist(
        rough[:, : len(texts)],
        rough[:, len(texts) :],
        lambda some: similarity(seg[some], texts, options, clip),
        few,
    )


def answered(
    seg: Segmentation, texts: Sequence[str], options: TextOptions, clip: Clip | None = None
) -> NDArray[np.float32]:
    """Similarity (N,) of each selected instance to the text it answers, ``texts[prompts]``."""
    cosines = similarity(seg, list(texts), options, clip)
    return cosines[np.arange(len(seg)), seg.prompts]


_DEFAULT = TextOptions()


def settle(
    options: Options | None, clip: Clip | str | None, changes: dict[str, Any]
) -> tuple[TextOptions, Clip | None]:
    """The options of a call, with the fields it changes, and a CLIP that is loaded already."""
    options = options or _DEFAULT
    if not isinstance(options, TextOptions):
        raise ValueError(f"a text needs TextOptions, got {type(options).__name__}")
    if isinstance(clip, str):
        changes, clip = {**changes, "clip": clip}, None
    return options.replace(**changes) if changes else options, clip


def check_alone(text: Texts | None, *others: Any) -> Texts:
    """The text; ValueError if there is none, for negatives, or if there are points or boxes."""
    if text is None:
        raise ValueError("negatives need a text")
    if any(other is not None for other in others):
        raise ValueError(ALONE)
    return text


def _features(seg: Segmentation, options: TextOptions, clip: Clip) -> NDArray[np.float32]:
    if options.features == "head":
        return head.features(seg, options, clip)
    return _look(seg.image_features).of(seg.source, seg.rows, clip, options)


def _look(kept: ImageFeatures | None) -> ImageFeatures:
    if kept is None:
        raise ValueError(
            "text prompts look at the image, and these instances came without one: use "
            "seg.with_image(image)"
        )
    return kept


def _load(options: TextOptions, look: ImageFeatures | None) -> Clip:
    from fastsam_plugins.text.loading import load

    return load(options.clip, "auto" if look is None else look.device)
