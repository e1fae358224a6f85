"""What operators and functions take beside the engine's options, each parameter once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fastsam_plugins.options import BackendName, NetworkPrecision, RunOptions, SegmentOptions
from fastsam_plugins.parameters import Options, like, option, parameters

Existing = Literal["refuse", "skip", "overwrite", "append"]


@dataclass(frozen=True)
class WriteOptions(Options):
    """Where labels go."""

    field: str = option("", "Field to write")
    existing: Existing = option(
        "refuse", "What to do with samples that have labels in the field: append adds to them"
    )
    batch: int = option(8, "Samples that go through the network, and are saved, together", ge=1)

    def __post_init__(self) -> None:
        """Refuse names that the database, or Python, cannot have."""
        super().__post_init__()
        if not self.field.isidentifier() or self.field.startswith("_"):
            raise ValueError(
                f"{self.field!r} cannot be a field: use letters, digits and underscores"
            )


@dataclass(frozen=True)
class NetworkOptions(Options):
    """What looks at the images."""

    model: str = like(RunOptions, "model")
    backend: BackendName = like(RunOptions, "backend")
    precision: NetworkPrecision = like(RunOptions, "precision")
    tiled: bool = option(False, "Look at images in windows: for those too large for one look")


@dataclass(frozen=True)
class PromptFields(Options):
    """What an image is asked for."""

    boxes: str | None = option(None, "Field of detections: every box is a prompt")
    points: str | None = option(
        None,
        "Field of keypoints, each a prompt; its list sam_labels says which points are foreground",
    )
    proposals: str | None = option(
        None, "Where segmentations of this field were kept, the network is not asked again"
    )
    masks: str | None = option(
        None,
        "Field of rough masks (detections, closed polylines, a segmentation) or of lines over "
        "objects (open polylines), each predicted anew; instead of boxes and points",
    )


@dataclass(frozen=True)
class ExampleFields(Options):
    """What is to be found more of, and where."""

    examples: str = option("", "Field of detections or polylines: all, or those that are selected")
    across: bool = option(
        False, "Look in all samples, not only in those that have an example themselves"
    )
    model: str = like(RunOptions, "model")
    proposals: str | None = like(PromptFields, "proposals")


@dataclass(frozen=True)
class IndexOptions(Options):
    """An index by which FiftyOne sorts labels by similarity."""

    labels: str = option("", "Field of detections or polylines to compare")
    brain_key: str = option("fastsam_similarity", "Name of the run, by which FiftyOne knows it")
    overwrite: bool = option(False, "Replace the index of this name")
    model: str = like(RunOptions, "model")
    imgsz: int | None = like(SegmentOptions, "imgsz")
    proposals: str | None = like(PromptFields, "proposals")
    batch: int = like(RunOptions, "batch")

    def __post_init__(self) -> None:
        """Refuse what FiftyOne cannot have as a key."""
        super().__post_init__()
        check_key(self.brain_key)


@dataclass(frozen=True)
class EvaluateOptions(Options):
    """An evaluation of proposals."""

    proposals: str = option("", "Field of what was found")
    truth: str = option("", "Field of what is to be found")
    eval_key: str = option("recall", "Name of the run, with which its fields begin")
    max_proposals: int = option(1000, "Proposals of an image that count, by confidence", ge=1)
    overwrite: bool = option(False, "Replace the run of this name")

    def __post_init__(self) -> None:
        """Refuse what cannot be the name of a field."""
        super().__post_init__()
        check_key(self.eval_key)


@dataclass(frozen=True)
class ExportOptions(Options):
    """A file to write."""

    field: str = option("", "Field to export")
    path: str = option("", "File to write, ending in .json; ~ is your home folder")
    overwrite: bool = option(False, "Replace the file if it is there")


@dataclass(frozen=True)
class ImportOptions(Options):
    """A file to read."""

    path: str = option("", "COCO file; images are found by sample_id or by file name")


@dataclass(frozen=True)
class HandOverOptions(Options):
    """A Ray cluster that does the work."""

    cluster: str | None = option(
        None,
        "Address of a Ray cluster that looks at the images instead, as auto or ray://head:10001; "
        "it has to see their files. Nothing is kept for prompts",
    )
    results: str | None = option(
        None,
        "Folder or address where the cluster writes, from which a run that was ended goes on: "
        "see fastsam batch",
    )

    def __post_init__(self) -> None:
        """Refuse one without the other, and a place that depends on where a server stands."""
        super().__post_init__()
        if bool(self.cluster) != bool(self.results):
            raise ValueError("cluster and results go together: name both")
        if self.results and "://" not in self.results and not self.results.startswith(("/", "~")):
            raise ValueError(f"results must be an address or in full, got {self.results!r}")


@dataclass(frozen=True)
class LoadOptions(Options):
    """How results of ``fastsam batch`` come into a dataset."""

    existing: Literal["skip", "overwrite"] = option(
        "skip", "What to do with samples that have labels in the field"
    )
    storage: Literal["auto", "database", "files", "polylines"] = option(
        "auto", "Masks in the database, as PNG files, or as outlines (which blur holes)"
    )


@dataclass(frozen=True)
class TidyOptions(Options):
    """Which files are looked at."""

    min_age: float = option(
        1.0, "Leave younger files: a run may be about to save their labels", unit="h", ge=0
    )
    unknown: bool = option(
        False,
        "Also files of datasets that this database does not have: only if no other database uses "
        "the same folder",
    )


def check_key(key: str) -> None:
    """Refuse what cannot be the name of a run.

    Raises
    ------
    ValueError
        Saying what can.
    """
    if not key.isidentifier() or key.startswith("_"):
        raise ValueError(f"{key!r} cannot be a key: use letters, digits and underscores")


def names(*classes: type[Options]) -> set[str]:
    """Names of the parameters of some options."""
    return {p.name for c in classes for p in parameters(c)}
