"""A COCO results file of masks, read by machine code: where numbers and masks stand in the text.

Only the plain form is understood: a list of objects, whose ``image_id`` and ``category_id`` are
integers and whose ``segmentation`` has a ``size`` and compressed ``counts``. Other fields are
passed over. Whatever else a file may hold is for a reader that knows all of JSON.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fastsam_plugins.compiled import ONES

Text = NDArray[np.uint8]

IMAGE, CATEGORY, HEIGHT, WIDTH, SCORE_START, SCORE_STOP, COUNTS_START, COUNTS_STOP = range(8)
"""Columns of what :func:`scan` finds; starts and stops are places in the text."""

FAILED = -1
QUOTE, BACKSLASH, COMMA, COLON, MINUS = ord('"'), ord("\\"), ord(","), ord(":"), ord("-")
OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT = ord("["), ord("]"), ord("{"), ord("}")
QUOTES, UPPER_BITS = ONES * np.uint64(QUOTE), ONES * np.uint64(128)  # in every byte of a word
SHORTEST = len('{"image_id":1,"score":1,"segmentation":{"size":[1,1],"counts":""}}')
IN_WORDS = np.zeros(256, np.bool_)
IN_WORDS[np.frombuffer(b"0123456789+-.Eabcdefghijklmnopqrstuvwxyz", np.uint8)] = True
UNKNOWN = 0
NAMES = np.zeros((6, 16), np.uint8)
for _row, _name in enumerate(
    (b"image_id", b"category_id", b"score", b"segmentation", b"size", b"counts")
):
    NAMES[_row, : len(_name)] = np.frombuffer(_name, np.uint8)
LENGTHS = np.array([8, 11, 5, 12, 4, 6])
IMAGE_ID, CATEGORY_ID, SCORE, SEGMENTATION, SIZE, COUNTS = range(1, 7)


@njit(cache=True)
def _space(text: Text, k: int) -> int:
    """The place of the next character that is no white space."""
    while k < len(text) and (text[k] == 32 or 9 <= text[k] <= 10 or text[k] == 13):
        k += 1
    return k


@njit(cache=True)
def _expect(text: Text, k: int, character: int) -> int:
    """Behind a character that has to follow, white space around it left out."""
    k = _space(text, k)
    if k == len(text) or text[k] != character:
        return FAILED
    return _space(text, k + 1)


@njit(cache=True)
def _string(text: Text, k: int) -> int:
    """Behind the string that begins at k."""
    if k >= len(text) or text[k] != QUOTE:
        return FAILED
    begin = k + 1
    k = _quote(text, begin)
    while k < len(text):
        before = k
        while before > begin and text[before - 1] == BACKSLASH:
            before -= 1
        if (k - before) % 2 == 0:  # else it is escaped
            return k + 1
        k = _quote(text, k + 1)
    return FAILED


@njit(cache=True)
def _quote(text: Text, k: int) -> int:
    """The place of the next quotation mark; masks are long, so eight characters at once."""
    whole = len(text) // 8
    while k < len(text) and text[k] != QUOTE:
        k += 1
        if k % 8 == 0:
            words = text[: 8 * whole].view(np.uint64)
            word = k // 8
            while word < whole:
                # A byte that is zero borrows from its upper bit (Mycroft 1987).
                differs = words[word] ^ QUOTES
                if (differs - ONES) & ~differs & UPPER_BITS:
                    break
                word += 1
            k = 8 * word
    return k


@njit(cache=True)
def _word(text: Text, k: int) -> int:
    """Behind the number or literal that begins at k."""
    begin = k
    while k < len(text) and IN_WORDS[text[k]]:
        k += 1
    return k if k > begin else FAILED


@njit(cache=True)
def _value(text: Text, k: int) -> int:
    """Behind the value that begins at k, whatever it is."""
    depth = 0
    while k < len(text):
        c = text[k]
        if c in (OPEN_LIST, OPEN_OBJECT):
            depth += 1
            k += 1
        elif c in (CLOSE_LIST, CLOSE_OBJECT):
            depth -= 1
            k += 1
        elif c == QUOTE:
            k = _string(text, k)
        elif depth and c in (COMMA, COLON):
            k += 1
        else:
            k = _word(text, k)
        if k == FAILED or depth <= 0:
            return k if depth == 0 else FAILED
        k = _space(text, k)
    return FAILED


@njit(cache=True)
def _integer(text: Text, k: int) -> tuple[int, int]:
    """The integer that begins at k, and the place behind it."""
    begin, sign, number = k, 1, 0
    if k < len(text) and text[k] == MINUS:
        sign, begin, k = -1, k + 1, k + 1
    while k < len(text) and 48 <= text[k] <= 57:
        number = 10 * number + (int(text[k]) - 48)
        k += 1
    if k == begin or k - begin > 18 or (k < len(text) and text[k] in (46, 69, 101)):
        return 0, FAILED
    return sign * number, k


@njit(cache=True)
def _key(text: Text, k: int) -> tuple[int, int]:
    """Which field's name begins at k, and the place of its value."""
    end = _string(text, k)
    if end == FAILED:
        return UNKNOWN, FAILED
    which = UNKNOWN
    for row in range(len(LENGTHS)):
        if end - k - 2 == LENGTHS[row]:
            same = True
            for c in range(LENGTHS[row]):
                same &= text[k + 1 + c] == NAMES[row, c]
            if same:
                which = row + 1
    return which, _expect(text, end, COLON)


@njit(cache=True)
def _mask(text: Text, k: int, found: NDArray[np.int64]) -> int:
    """Behind the segmentation that begins at k, whose size and counts are put into ``found``."""
    k = _expect(text, k, OPEN_OBJECT)
    while k != FAILED:
        which, k = _key(text, k)
        if k == FAILED:
            return FAILED
        if which == SIZE:
            k = _expect(text, k, OPEN_LIST)
            for column in (HEIGHT, WIDTH):
                if k == FAILED:
                    return FAILED
                found[column], k = _integer(text, k)
                if k == FAILED:
                    return FAILED
                k = _expect(text, k, COMMA if column == HEIGHT else CLOSE_LIST)
        elif which == COUNTS:
            begin, k = k, _string(text, k)  # a list: counts that are not compressed
            found[COUNTS_START], found[COUNTS_STOP] = begin + 1, k - 1
        else:
            k = _value(text, k)
        if k == FAILED:
            return FAILED
        k = _space(text, k)
        if k < len(text) and text[k] == CLOSE_OBJECT:
            return k + 1
        k = _expect(text, k, COMMA)
    return FAILED


@njit(cache=True)
def scan(text: Text) -> tuple[NDArray[np.int64], bool]:
    """Find the records of a results file.

    Parameters
    ----------
    text : uint8 array
        The file.

    Returns
    -------
    int64 array (N, 8)
        A row for each record; see :data:`IMAGE` and the names beside it. A category that is not
        named is 0.
    bool
        Whether the whole file was of the plain form; if not, the rows mean nothing.
    """
    found = np.empty((len(text) // SHORTEST + 1, 8), np.int64)
    count = 0
    k = _expect(text, 0, OPEN_LIST)
    while k != FAILED:
        k = _expect(text, k, OPEN_OBJECT)
        if k == FAILED or count == len(found):
            return found, False
        record = found[count]
        record[:] = FAILED
        record[CATEGORY] = 0
        seen_image = False
        while True:
            which, k = _key(text, k)
            if k == FAILED:
                return found, False
            if which == IMAGE_ID:
                record[IMAGE], k = _integer(text, k)
                seen_image = True
            elif which == CATEGORY_ID:
                record[CATEGORY], k = _integer(text, k)
            elif which == SCORE:
                record[SCORE_START], k = k, _word(text, k)
                record[SCORE_STOP] = k
            elif which == SEGMENTATION:
                k = _mask(text, k, record)
            else:
                k = _value(text, k)
            if k == FAILED:
                return found, False
            k = _space(text, k)
            if k < len(text) and text[k] == CLOSE_OBJECT:
                break
            k = _expect(text, k, COMMA)
            if k == FAILED:
                return found, False
        if not seen_image or record[SCORE_START] < 0 or record[COUNTS_START] < 0:
            return found, False
        if record[WIDTH] < 0:
            return found, False
        count += 1
        k = _space(text, k + 1)
        if k < len(text) and text[k] == CLOSE_LIST:
            return found[:count], _space(text, k + 1) == len(text)
        k = _expect(text, k, COMMA)
    return found, False


@njit(cache=True)
def joined(text: Text, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> Text:
    """Pieces of a text as the items of one JSON list."""
    made = np.empty((stops - starts).sum() + len(starts) + 1, np.uint8)
    made[0] = OPEN_LIST
    k = 1
    for i in range(len(starts)):
        for c in range(starts[i], stops[i]):
            made[k] = text[c]
            k += 1
        made[k] = COMMA
        k += 1
    made[k - 1] = CLOSE_LIST
    return made[:k]
