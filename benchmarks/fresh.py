"""Time and memory of one call in a process that did nothing large before it.

Memory that a process has freed and not given back is taken again without a trace: measured in the
process of a benchmark, a call seems to take none. So here the work is done once, after the same for
an image of 64 x 64 pixels, which loads what is loaded once.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import pickle
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastsam_plugins.geometry import Letterbox
from support.memory import peak_extra_megabytes


def measured(work: str, output: Any) -> tuple[Any, float, float]:
    """What a function makes of a network output, in how many seconds and megabytes.

    Parameters
    ----------
    work : str
        ``module:function``
    output : Output
    """
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "given", Path(folder) / "made"
        given.write_bytes(pickle.dumps(output))
        words = [sys.executable, "-m", "benchmarks.fresh", work, given, made]
        said = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
        return pickle.loads(made.read_bytes()), *json.loads(said.splitlines()[-1])


def main(work: str, given: str, made: str) -> None:
    """Do it in this process."""
    module, _, name = work.partition(":")
    function = getattr(importlib.import_module(module), name)
    output = pickle.loads(Path(given).read_bytes())
    boxes = output.boxes * 64 / max(output.shape)
    small = Letterbox.fit((64, 64), max(output.letterbox.input_shape))
    function(replace(output, letterbox=small, boxes=boxes))
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # else what loading freed is taken first
    results: list[Any] = []
    start = time.perf_counter()
    megabytes = peak_extra_megabytes(lambda: results.append(function(output)))
    seconds = time.perf_counter() - start
    Path(made).write_bytes(pickle.dumps(results[0]))
    print(json.dumps([seconds, megabytes]))


if __name__ == "__main__":
    main(*sys.argv[1:])
