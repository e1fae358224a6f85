"""JSON files read into types: what does not fit is one line that names the file and the place."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object",
}


class NaN:
    """What Python's JSON holds where a number is none; no field takes it."""


class Infinity:
    """The same for numbers without end."""


def read(path: str | Path, kind: type[T], what: str) -> T:
    """What a JSON file holds, as a type.

    Parameters
    ----------
    path : path
    kind : type
        As :mod:`msgspec` takes them; objects may have more than it asks for.
    what : str
        What the file should be, for errors: "a COCO ground truth".

    Raises
    ------
    ValueError
        One line that names the file and the place in it.
    """
    return decode(content(path), kind, path, what)


def content(path: str | Path) -> bytes:
    """The bytes of a text file, as UTF-8 without a mark.

    Raises
    ------
    ValueError
        If there is none, or it is not text.
    """
    path = Path(path)
    try:
        if path.is_char_device() or path.is_block_device():
            raise ValueError(f"{path} is a device, not a file")
        data = path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}") from None
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
    if not data.strip():
        raise ValueError(f"{path} is not JSON: it is empty")
    if data.startswith(b"\x1f\x8b"):
        raise ValueError(f"{path} is not JSON: it is compressed, unpack it first (gunzip)")
    encoding = json.detect_encoding(data)
    try:
        if encoding == "utf-8-sig":
            data = data[3:]
        elif encoding != "utf-8":
            data = data.decode(encoding).encode()
    except UnicodeError as error:
        raise ValueError(f"{path} is not JSON: it is not text ({error})") from None
    return data


def decode(text: bytes, kind: type[T], path: str | Path, what: str) -> T:
    """The same of a text that was read."""
    # What is wrong, or no JSON to the letter (NaN), goes the long way: it says more.
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return convert(plain(text, path), kind, path, what)


def plain(text: bytes, path: str | Path) -> Any:
    """A text as lists and dictionaries; NaN and infinity are of types of their own."""
    try:
        try:
            return msgspec.json.decode(text)
        except (msgspec.MsgspecError, UnicodeError):  # Python's reader takes more, or says why not
            return json.loads(text.decode(), parse_constant=_constant, parse_float=_number)
    except RecursionError:
        raise ValueError(f"{path} is not JSON that can be read: it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None


def convert(values: Any, kind: type[T], path: str | Path, what: str) -> T:
    """Lists and dictionaries as a type."""
    try:
        return msgspec.convert(values, kind)
    except RecursionError:
        raise ValueError(f"{path} is not {what}: it is nested too deeply") from None
    except UnicodeError as error:
        raise ValueError(f"{path} is not {what}: it has half a character ({error})") from None
    except msgspec.ValidationError as error:
        place, problem = explain(str(error))
    if not place:
        raise ValueError(f"{path} is not {what}: it {problem}")
    raise ValueError(f"{path}: {place}{' ' if problem.startswith('has') else ': '}{problem}")


def explain(message: str) -> tuple[str, str]:
    """The place that an error of msgspec's is about, and what is wrong, in plain words."""
    problem, _, place = " ".join(message.split()).partition(" - at `")
    # "$.annotations[3].bbox" of a dataset, "$[3].bbox" of a list
    place = re.sub(r"^\[(\d+)\]", r"record \1", place.rstrip("`").removeprefix("$")).lstrip(".")
    if match := re.fullmatch(r"Object missing required field `(.+)`", problem):
        return place, f"has no {match[1]}"
    if match := re.fullmatch(r"Expected `array` of length (\d+), got (\d+)", problem):
        return place, _expected(f"{match[1]} numbers, got {match[2]}", place)
    if match := re.fullmatch(r"Expected `(.+)`, got `(.+)`", problem):
        wanted, got = (
            " or ".join(dict.fromkeys(WORDS.get(t, t) for t in f.split(" | ")))
            for f in match.groups()
        )
        return place, _expected(f"{wanted}, got {got}", place)
    if match := re.fullmatch(r"Expected `(?:int|float)` ([<>]=) (\S+)", problem):
        return place, _expected(f"a number {match[1]} {match[2]}", place)
    if "multiple of" in problem:
        return place, _expected("a whole number", place)
    return place, problem[:1].lower() + problem[1:]


def _expected(text: str, place: str) -> str:
    return f"expected {text}" if place else f"has to be {text}"


def _constant(name: str) -> Any:
    return NaN() if name == "NaN" else Infinity()


def _number(text: str) -> Any:
    number = float(text)
    return number if math.isfinite(number) else Infinity()


def shown(value: Any, most: int = 60) -> str:
    """A value of a file for an error, however long it is."""
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."
