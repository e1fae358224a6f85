"""Many images, one after another: one that cannot be read costs only itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from fastsam_plugins.images.contrast import ImageError

I = TypeVar("I")  # noqa: E741
T = TypeVar("T")


@dataclass
class Skipped:
    """The images that could not be read, and why.

    Parameters
    ----------
    count : int
        How many images there are.
    log : callable
        Takes a line for the person as soon as there is one, unless it is all there is to say.
    """

    count: int = 0
    log: Callable[[str], None] = print
    reasons: dict[Path, str] = field(default_factory=dict)

    def add(self, path: Path, error: Exception) -> None:
        """Note that an image could not be read."""
        reason = str(error) or type(error).__name__
        reason = reason if str(path) in reason else f"{path}: {reason}"
        self.reasons[path] = reason
        if self.count > 1:
            self.log(f"Skipped: {reason}")

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
            failed = f"{len(self.reasons)} of {self.count} images could not be used"
            raise ImageError(
                f"{failed}; the others are done" if len(self.reasons) < self.count else failed
            )

    def measured(self, done: int, failed: dict[str, str]) -> None:
        """Hand on what was left out of a measurement of ``done`` images.

        Raises
        ------
        ValueError
            If nothing was left to measure.
        """
        failed.update({str(path): " ".join(why.split()) for path, why in self.reasons.items()})
        if failed and not done:
            first = next(iter(failed.values()))
            raise ValueError(f"none of {len(failed)} images can be measured: {first}")


def readable(
    items: Iterable[I],
    read: Callable[[I], T],
    skipped: Skipped,
    path_of: Callable[[I], Path] = lambda path: path,  # type: ignore[assignment,return-value]
) -> Iterator[tuple[I, T]]:
    """Every item with what is read of it, when it is its turn, but for those that cannot be.

    Items are paths, or ``path_of`` says which is theirs.
    """
    for item in items:
        try:
            content = read(item)
        except (ImageError, OSError) as error:
            skipped.add(path_of(item), error)
        else:
            yield item, content
