"""Showing a person why something cannot be done."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps

from napari.utils.notifications import show_info, show_warning

from napari_plugin.model.painting import SessionError
from napari_plugin.model.plane import PlaneError

log = logging.getLogger(__name__)


_SENTENCES = (PlaneError, SessionError)  # other errors may begin with the name of a parameter


def shows_errors(action: Callable[..., None]) -> Callable[..., None]:
    """The same action, but what it refuses is shown in one line, and raised no further."""

    @wraps(action)
    def act(*args: object) -> None:
        try:
            action(*args)
        except ValueError as error:
            log.debug("refused", exc_info=True)
            show_info(_sentence(error) if isinstance(error, _SENTENCES) else str(error))
        except MemoryError as error:
            show_warning(f"There is no room in memory: {error}")
        except OSError as error:  # of a file, or of a layer that is one
            log.debug("failed", exc_info=True)
            show_warning(str(error))

    return act


def _sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].upper() + text[1:]
