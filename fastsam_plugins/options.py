"""Every parameter once: type, range, unit, default and one line of help.

The fields of these frozen dataclasses are the single source of the command's flags, the FiftyOne
operator's form and the napari widget. Construction validates: a value out of range raises
``ValueError`` naming the parameter, what is allowed and what was given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fastsam_plugins.parameters import Options, option

Ranking = Literal["scores", "stability", "areas", "iou_pred"]
Background = Literal["gray", "white", "black", "keep"]
Precision = Literal["auto", "full", "half"]
LabelKind = Literal["auto", "ids", "void255", "colors", "mask"]
BackendName = Literal["auto", "torch", "openvino", "onnx", "tensorrt"]
NetworkPrecision = Literal["auto", "f32", "bf16", "f16"]


@dataclass(frozen=True)
class RunOptions(Options):
    """What runs the network, and how many images at once."""

    model: str = option(
        "FastSAM-n", "FastSAM-n (bundled), FastSAM-s, FastSAM-x, or a .pt or .safetensors file"
    )
    device: str = option("auto", "auto (an accelerator if there is one), cpu, cuda, cuda:1, mps")
    backend: BackendName = option(
        "auto",
        "What runs the network; auto is what is fastest here and gives the same masks but for "
        "rounding, tried once for these weights (fastsam doctor shows it)",
    )
    precision: NetworkPrecision = option(
        "auto", "Numbers the network computes with: f32 is exact, bf16 and f16 are faster"
    )
    batch: int = option(4, "Images, or windows, that go through the network together", ge=1)
    decoder: str | None = option(
        None, "What answers prompts with --predict; by default the decoder beside the weights"
    )


@dataclass(frozen=True)
class WeightsOptions(Options):
    """How weights are found, and what of them is trusted."""

    allow_unknown_weights: bool = option(
        False, "Use a file named FastSAM-s or FastSAM-x although its SHA-256 is not the known one"
    )
    agnostic: bool = option(
        False, "Use a network of many classes: what it takes for any of them is an object"
    )
    connect_timeout: float = option(
        10.0, "Give up a download whose server cannot be reached for this long", unit="s", ge=0.1
    )
    read_timeout: float = option(
        30.0, "Give up a download that sends under 1 kB/s for this long", unit="s", ge=0.1
    )


@dataclass(frozen=True)
class SegmentOptions(Options):
    """All-instance segmentation (section 3.1 of the paper)."""

    imgsz: int | None = option(
        None,
        "Longest side of the network's input; by default the size the model was trained for",
        unit="px",
        ge=32,
        le=8192,
    )
    conf: float = option(0.4, "Drop instances the detector trusts less than this", ge=0, le=1)
    iou: float = option(0.9, "Drop an instance whose box overlaps a better one more", ge=0, le=1)
    max_det: int = option(300, "Keep at most this many instances per image", ge=1, le=100_000)
    diverse: float = option(
        0.0,
        "Lower the score of an instance by this share of its overlap with every better one, before "
        "max_det counts: the first ten are then ten different objects (0.6 does well)",
        ge=0,
        le=1,
    )
    full_frame: bool = option(
        True, "Let boxes that nearly reach the image border or fill the image do so exactly"
    )
    border_tolerance: float = option(
        20.0, "How near to the border counts as nearly, at the network's scale", unit="px", ge=0
    )
    min_area: int = option(
        1, "Drop masks smaller than this; 0 keeps even empty masks", unit="px", ge=0
    )


@dataclass(frozen=True)
class PromptOptions(Options):
    """Prompt-guided selection (section 3.2 of the paper)."""

    points_mode: Literal["union", "smallest", "best", "each"] = option(
        "union",
        "What point prompts select: all instances hit, merged (the paper); the smallest one; "
        "the highest-ranked one; or one instance for each foreground point",
    )
    boxes_mode: Literal["box_iou", "mask_iou"] = option(
        "box_iou",
        "How a box prompt finds its instance: overlap with the instance's box (the paper) "
        "or with its mask (the authors' code)",
    )
    min_iou: float = option(
        0.0, "A box prompt with less overlap than this selects nothing", ge=0, le=1
    )
    rank: Ranking = option(
        "scores",
        "What decides between candidates: detector confidence, mask stability, area, or the IoU "
        "that a mask is expected to have",
    )
    smoothing: float = option(
        0.0,
        "Close, then open a merged mask by this share of its size (square root of its area)",
        ge=0,
        le=0.5,
    )
    predict: bool = option(
        False,
        "Answer points and boxes with masks of their own, which every further point corrects, "
        "instead of choosing among instances; with points_mode each, one for each foreground point",
    )


@dataclass(frozen=True)
class TextOptions(Options):
    """Selection by words (section 3.2 of the paper)."""

    top_k: int = option(1, "Most similar instances kept for each text; 0 keeps all", ge=0)
    threshold: float = option(
        -1.0, "Keep only instances at least this similar to the text (cosine)", ge=-1, le=1
    )
    features: Literal["auto", "crops", "dense", "head"] = option(
        "crops",
        "What is compared with the text: each instance cut out (crops, the paper), one pass over "
        "the image pooled under each mask (dense, in no more time for many instances), crops of "
        "those alone that dense finds promising (auto), or what the network kept, by a head that "
        "was trained for it (head; CLIP then reads texts alone)",
    )
    head: str | None = option(
        None, "The head for features=head, a file that fastsam train-text-head wrote"
    )
    shortlist: int = option(
        10, "Instances that features=auto cuts out for each text; with top_k, so many more", ge=1
    )
    clip: str = option(
        "ViT-B-32/openai",
        "CLIP of open_clip: NAME/TAG, NAME/FILE, or a folder of open_clip_config.json and weights",
    )
    background: Background = option(
        "gray", "What surrounds an instance that is cut out: a fill, or what is there (keep)"
    )
    clip_precision: Precision = option(
        "auto",
        "Numbers in which CLIP looks at images: full is float32, half is bfloat16 on a processor "
        "and float16 elsewhere, auto is half on processors that have instructions for it",
    )
    chunk: int = option(32, "Instances cut out that go through CLIP together", ge=1)
    dense_size: int | None = option(
        None,
        "Longest side of the image for dense; by default twice what CLIP was trained with, more "
        "where masks are small",
        unit="px",
        ge=32,
        le=8192,
    )
    min_pixels: int = option(
        1, "Instances with a smaller mask are never selected by text", unit="px", ge=1
    )


@dataclass(frozen=True)
class ExemplarOptions(Options):
    """Which instances are like an example."""

    top_k: int = option(0, "Most instances kept, the most like first; 0 keeps all", ge=0)
    threshold: float = option(
        0.68, "Keep only instances at least this like the example (cosine)", ge=-1, le=1
    )


@dataclass(frozen=True)
class FilterOptions(Options):
    """Which instances stay. A bound left at its default is not measured."""

    min_score: float = option(0.0, "Drop instances the detector trusts less", ge=0, le=1)
    min_area: int = option(0, "Drop smaller masks", unit="px", ge=0)
    max_area: int | None = option(None, "Drop larger masks", unit="px", ge=0)
    min_stability: float = option(
        0.0, "Drop masks that change more than this when their threshold does", ge=0, le=1
    )
    max_box_leak: float = option(
        1.0, "Drop masks of which their box cuts off more than this share", ge=0, le=1
    )
    nested: Literal["keep", "outer", "inner"] = option(
        "keep",
        "Of masks that lie inside one another keep all, the outer ones only, or the inner only",
    )
    border: bool = option(True, "Keep instances that touch the image's border")


@dataclass(frozen=True)
class TileOptions(Options):
    """How an image too large to look at at once is cut into windows and put together again."""

    tile: int | None = option(
        None,
        "Side of the windows; by default the network's input size, so that no detail is lost",
        unit="px",
        ge=64,
        le=8192,
    )
    overlap: float = option(
        0.25,
        "Share of its side that a window has in common with the next: objects up to this size are "
        "seen whole by one of them",
        ge=0,
        le=0.5,
    )
    seam_iou: float = option(
        0.5,
        "Instances of two windows are one object if their masks overlap this much where both "
        "windows look",
        ge=0,
        le=1,
    )
    whole: bool = option(
        True, "Look at the whole image once as well, scaled down, for objects larger than a window"
    )


@dataclass(frozen=True)
class LinkOptions(Options):
    """How instances of neighbouring slices become one object."""

    min_iou: float = option(
        0.3, "Link instances of neighbouring slices that overlap at least this much", ge=0, le=1
    )


@dataclass(frozen=True)
class CleanOptions(Options):
    """Mask clean-up, as in SAM's automatic mask generator."""

    max_hole: int = option(0, "Fill holes up to this area; 0 leaves all", unit="px", ge=0)
    max_island: int = option(
        0, "Remove detached parts up to this area; 0 leaves all", unit="px", ge=0
    )
    min_area: int = option(0, "Drop masks smaller than this; 0 keeps all", unit="px", ge=0)
    mask_iou: float = option(
        1.0, "Drop a mask that overlaps a higher-ranked one more than this", ge=0, le=1
    )
    containment: float = option(
        1.0, "Drop a mask of which a higher-ranked one covers more than this share", ge=0, le=1
    )


@dataclass(frozen=True)
class ReadOptions(Options):
    """How a file or an array becomes the RGB image that the network sees."""

    page: int = option(
        0,
        "Page of a TIFF, plane of an ImageJ stack or frame of an animated GIF, counted from 0",
        ge=0,
    )
    bands: str | None = option(
        None, "Three bands to show as red, green, blue, counted from 0, for example 3,2,1"
    )
    contrast: Literal["auto", "percentile", "minmax", "fixed", "none"] = option(
        "auto",
        "How values become 0-255: percentile stretches, minmax uses the full range, fixed the "
        "limits low and high, none clips; auto leaves 8-bit images alone and stretches the rest",
    )
    percentile: float = option(
        1.0,
        "Share of darkest and of brightest pixels a percentile stretch saturates",
        unit="%",
        ge=0,
        le=49,
    )
    low: float = option(0.0, "Value shown black with fixed contrast")
    high: float = option(255.0, "Value shown white with fixed contrast")
    nan: float | None = option(None, "Value shown in place of NaN and infinite ones")
    reduced: bool = option(
        False,
        "Read a JPEG file that is at least twice as large as the network's input at a part of its "
        "size: sooner done, and masks of another outline",
    )

    def __post_init__(self) -> None:
        """Refuse what no image can be shown with, before any is read."""
        super().__post_init__()
        if self.bands is not None:
            numbers = [part.strip() for part in self.bands.split(",")]
            if len(numbers) not in (1, 3) or not all(n.isascii() and n.isdigit() for n in numbers):
                raise ValueError(
                    f"bands must be one or three numbers such as 3,2,1, got {self.bands!r}"
                )
        if self.contrast == "fixed" and self.high <= self.low:
            raise ValueError(f"fixed contrast needs low < high, got {self.low:g} and {self.high:g}")


@dataclass(frozen=True)
class LimitOptions(Options):
    """What a file or a request may ask of the machine: beyond, it is refused beforehand."""

    max_pixels: int = option(
        500_000_000,
        "Most pixels of an image that is read at once; windows of a TIFF have no such limit",
        unit="px",
        ge=1,
    )
    max_memory: int = option(
        4000,
        "Most memory for one thing: decoding an image, one input of the network, weights",
        unit="MB",
        ge=1,
    )
    max_windows: int = option(
        100_000, "Most windows that one image is looked at in; larger ones are fewer", ge=1
    )
    max_seconds: float = option(300.0, "Longest time for reading one file", unit="s", ge=0)


@dataclass(frozen=True)
class BatchOptions(Options):
    """A data set that is segmented as a whole, maybe on many machines."""

    shard: int = option(
        256,
        "Images in one file of results: what a run that is ended loses of each that it was at",
        ge=1,
        le=100_000,
    )
    readers: int = option(4, "Images that are read at the same time", ge=1, le=1024)
    max_errors: float = option(
        0.0, "Exit with 1 only if more than this share of the images could not be used", ge=0, le=1
    )
    retry: bool = option(
        False,
        "Try images again that could not be used, with the others of their files of results",
    )
    image_column: str | None = option(
        None, "Column of a Parquet file that names the images; by default image, path or filepath"
    )
    prompt_score: float = option(
        0.0, "Leave out boxes of --prompts that their detector trusts less", ge=0, le=1
    )


@dataclass(frozen=True)
class ClusterOptions(Options):
    """What a Ray cluster gives to a run."""

    address: str | None = option(
        None,
        "Address of a Ray cluster, as auto or ray://head:10001; by default the one that there is, "
        "else one on this machine alone",
    )
    actors: int | None = option(
        None,
        "Processes that segment; by default one for each accelerator of the cluster, or for each "
        "group of --cores processors",
        ge=1,
    )
    cores: int = option(2, "Processors for each of them where there are no accelerators", ge=1)


@dataclass(frozen=True)
class EdgeOptions(Options):
    """How instances become an edge map."""

    by_confidence: bool = option(False, "Weigh each mask's edges by its confidence")
    thin: bool = option(True, "Keep only the ridges of edges")
    smoothing: float = option(
        2.0, "Scale at which the direction of edges is taken", unit="px", ge=0.5, le=10
    )
    cropped: bool = option(
        False, "The paper's own way: masks end at their boxes, edges inside them go, thinned by "
        "Canny's rule"
    )  # fmt: skip


@dataclass(frozen=True)
class BoundaryOptions(Options):
    """How edge maps are compared with drawn boundaries (BSDS500's benchmark)."""

    thresholds: int = option(99, "Levels of an edge map compared", ge=2)
    max_distance: float = option(
        0.0075, "Between matched pixels, as a share of the image's diagonal", ge=0, le=1
    )
    thin: bool = option(True, "Thin boundaries to one pixel first")


@dataclass(frozen=True)
class DataOptions(Options):
    """How labelled data are read."""

    labels: LabelKind = option(
        "auto",
        "What label images hold: ids (each number is an instance), void255 (ids, but 255 is none), "
        "colors (each colour is an instance) or a mask, whose connected parts are the instances; "
        "auto decides by what is in a file, and what was read is said",
    )
    images: str | None = option(
        None, "Folder of the images, where it is not beside the labels; for a COCO file"
    )


@dataclass(frozen=True)
class SampleOptions(Options):
    """Which images of SA-1B are taken."""

    share: float = option(0.02, "Share of all images; the paper took two in a hundred", ge=0, le=1)
    seed: int = option(0, "Decides which", ge=0)
