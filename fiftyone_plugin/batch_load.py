"""Results of ``fastsam batch`` into a field of a dataset: in bulk, and again without harm."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

import fiftyone as fo

from fastsam_plugins.scale import places, rows
from fastsam_plugins.scale.results import Results
from fiftyone_plugin import documents
from fiftyone_plugin.parameters import Existing, LoadOptions
from fiftyone_plugin.save_job import Job, Report, Result
from fiftyone_plugin.storage import StoreOptions
from fiftyone_plugin.views import images

BATCH = 64  # samples that are saved together
_ADDED = 1000  # samples that are made together


def load_into(
    address: str,
    name: str,
    field: str,
    options: LoadOptions,
    create: bool = False,
    say: Callable[[str], None] = print,
) -> Report:
    """Put results into a dataset that is known by name.

    Parameters
    ----------
    address : str
        Where the results lie.
    name, field : str
        Of the dataset, and of the field.
    options : LoadOptions
    create : bool
        Make the dataset, of the images in the results, if there is none.
    say : callable
        Told what is worth a line.

    Raises
    ------
    ValueError
        If there is no such dataset, no such results, or none of its samples is among them.
    """
    results = Results(address)
    results.check_done()
    if fo.dataset_exists(name):
        dataset = fo.load_dataset(name)
    elif create:
        dataset = _made(name, results.plan["image"].to_pylist())
        say(f"Made the dataset {name}, of {documents.count(dataset)} images")
    else:
        known = ", ".join(fo.list_datasets()) or "none"
        raise ValueError(
            f"there is no FiftyOne dataset {name} (there are: {known}); --create makes it"
        )
    storing = StoreOptions(storage=options.storage, keep=False)
    *_, report = load(dataset, field, results, storing, options.existing)
    return report


def _made(name: str, files: list[str]) -> fo.Dataset:
    dataset = fo.Dataset(name, persistent=True)
    for k in range(0, len(files), _ADDED):
        dataset.add_samples([fo.Sample(filepath=f) for f in files[k : k + _ADDED]], progress=False)
    return dataset


def load(
    view: fo.Dataset | fo.DatasetView,
    field: str,
    results: Results,
    storing: StoreOptions | None = None,
    existing: Existing = "skip",
) -> Iterator[Report]:
    """Write results to the samples whose files they are of; other samples are left as they are.

    Returns
    -------
    iterator of Report
        See :func:`fiftyone_plugin.segment_job.everything`. An image that failed has its reason in
        ``FIELD_error``.

    Raises
    ------
    ValueError
        If no sample is of an image in the results, or the field does not allow it.
    """
    view = images(view)
    there = set(results.plan["image"].to_pylist())
    named = zip(*view.values(["id", "filepath"]), strict=True)
    chosen = [sample for sample, file in named if image(file) in there]
    if not chosen:
        raise ValueError(f"no sample is of an image in {results.address}")
    storing = (storing or StoreOptions()).replace(keep=False)
    job = Job(view.select(chosen), field, storing, existing, BATCH)
    job.by_text = any(row["texts"] is not None for row in _first(results))
    return job.save(found(job, results))


def image(file: str) -> str:
    """A sample's file as results name it."""
    return file if places.is_address(file) else places.local(file)


def _first(results: Results) -> Iterable[rows.Row]:
    """A row without an error, if there is one."""
    texts = results.rows(("texts", "error"))
    return next(([row] for row in texts if row["error"] is None), [])


def found(job: Job, results: Results) -> Iterator[Result]:
    """What was found, in the order of the results, for the samples that it is for."""
    wanted: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for sample, file in job.items:
        wanted[image(file)].append((sample, file))
    for row in results.rows() if wanted else ():
        for sample, file in wanted.get(row["image"], ()):
            result = Result(sample, file, error=row["error"] or "")
            if row["error"] is None:
                result.seg = rows.segmentation(row)
                if row["texts"] is not None:
                    result.names = _names(row)
                    result.similarity = rows.similarity(row)
            yield result


def _names(row: rows.Row) -> list[str]:
    """The text of each prompt, by its place."""
    by_place = dict(zip(row["answers"], row["texts"], strict=True))
    return [by_place.get(k, "") for k in range(max(by_place, default=-1) + 1)]
