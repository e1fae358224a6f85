"""Files that nothing in the database names: of runs that were killed, of labels and datasets gone.

A file is one of ours by its name and place. Of folders that another database may use, and of
datasets that this one does not know, nothing is touched unless somebody says that it is alone.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fastsam_plugins.io import atomic
from fiftyone_plugin import kept_files, references, undo
from fiftyone_plugin.mask_files import delete, root
from fiftyone_plugin.parameters import TidyOptions

ID = re.compile(r"[0-9a-f]{24}")
FILE = re.compile(r"[0-9a-f]{32}\.(png|npz|part)")


@dataclass
class Orphans:
    """What nothing refers to.

    Attributes
    ----------
    files : list of Path
    size : int
        In bytes.
    strange : list of Path
        Folders that may be another database's, and were left alone.
    """

    files: list[Path] = field(default_factory=list)
    size: int = 0
    strange: list[Path] = field(default_factory=list)

    def delete(self) -> None:
        """Delete them, and the folders that they leave empty."""
        delete(self.files)
        undo.drop_abandoned()


def find(options: TidyOptions) -> Orphans:
    """Look for files that nothing in the database refers to."""
    orphans = Orphans()
    known, own = references.datasets(), references.identity()
    places: list[Path] = []
    for folder in sorted(root().glob("*/*")):
        if not ID.fullmatch(folder.parent.name) or not folder.is_dir():
            continue
        _, *rest = folder.name.split(".")
        is_own = rest[0] == own if rest else folder.parent.name in known
        if is_own or options.unknown:
            places.append(folder)
        else:
            orphans.strange.append(folder)
    # First the files, then what is named: what a run writes meanwhile is not among them.
    latest = time.time() - options.min_age * 3600
    files = [(file, size) for folder in places for file, size in _files(folder, latest)]
    used = references.used()
    old = [file for file, _ in files if file.name == kept_files.OLD]
    kept = set(old) - set(kept_files.unused(old))
    for file, size in files:
        if file.name not in used and file not in kept:
            orphans.files.append(file)
            orphans.size += size
    return orphans


def _files(folder: Path, latest: float) -> Iterator[tuple[Path, int]]:
    """Files of ours in the folder of a run or field that are old enough, and their sizes."""
    for file in sorted(folder.rglob("*")):
        parts = file.relative_to(folder).parts
        part = len(parts) == 3 and parts[1].startswith(atomic.PREFIX)  # of a write that was killed
        name = FILE.fullmatch(file.name) or file.name in (kept_files.OLD, "kept.part")
        if not ID.fullmatch(parts[0]) or not name or not (part or len(parts) == 2):
            continue
        try:
            about = file.lstat()
        except FileNotFoundError:  # a run that ends has deleted it
            continue
        if file.is_file() and about.st_mtime <= latest:
            yield file, about.st_size
