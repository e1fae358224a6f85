"""Many images, one after another: one that cannot be read costs only itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from fastsam_plugins.images import ImageError

T = TypeVar("T")


@dataclass
class Skipped:
    """The images that could not be read, and why.

    Parameters
    ----------
    count : int
        How many images there are.
    tell : callable
        Takes a line for the person as soon as there is one, unless it is all there is to say.
    """

    count: int
    tell: Callable[[str], None]
    reasons: dict[Path, str] = field(default_factory=dict)

    def add(self, path: Path, error: Exception) -> None:
        """Note that an image could not be read."""
        reason = str(error) or type(error).__name__
        reason = reason if str(path) in reason else f"{path}: {reason}"
        self.reasons[path] = reason
        if self.count > 1:
            self.tell(f"Skipped: {reason}")

    def check(self) -> None:
        """Say so in the end, if there were any.

        Raises
        ------
        ImageError
            If there were.
        """
        if self.reasons and self.count == 1:
            raise ImageError(next(iter(self.reasons.values())))
        if self.reasons:
            failed = f"{len(self.reasons)} of {self.count} images could not be read"
            raise ImageError(
                f"{failed}; the others are done" if len(self.reasons) < self.count else failed
            )


def readable(
    paths: Iterable[Path], read: Callable[[Path], T], skipped: Skipped
) -> Iterator[tuple[Path, T]]:
    """Every path with what is read of it, when it is its turn, but for those that cannot be."""
    for path in paths:
        try:
            content = read(path)
        except (ImageError, OSError) as error:
            skipped.add(path, error)
        else:
            yield path, content
