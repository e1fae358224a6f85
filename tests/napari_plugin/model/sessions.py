"""Sessions over drawn disks, and what may be done to them: for tests of several rooms."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from fastsam_plugins.options import LinkOptions
from fastsam_plugins.segmentation import Segmentation
from napari_plugin.model import saving
from napari_plugin.model.autosave import Saver
from napari_plugin.model.edits import ArrayCanvas
from napari_plugin.model.identity import Identity
from napari_plugin.model.prompts import Prompts
from napari_plugin.model.saving import ImageRecord
from napari_plugin.model.session import POLICIES, Session
from napari_plugin.model.session_folder import SessionFolder
from napari_plugin.model.slice_instances import SliceInstances
from tests.conftest import disks

SHAPE = (60, 80)


CIRCLES = [(30, 30, 20), (30, 30, 8), (50, 30, 12), (70, 10, 6)]


MASKS = disks(SHAPE, CIRCLES)


LARGE, SMALL, BESIDE, ASIDE = MASKS


def scene(masks=MASKS, scores=(0.9, 0.5, 0.7, 0.8)):
    seg = Segmentation.from_masks(masks, scores=scores[: len(masks)])
    return SliceInstances(seg, (0, 0, SHAPE[1], SHAPE[0]), SHAPE, "digest")


def plain():
    session = Session(ArrayCanvas(np.zeros(SHAPE, np.int32)))
    session.add_instances((), scene())
    return session


def stack(count=3):
    session = Session(ArrayCanvas(np.zeros((count, *SHAPE), np.int32)))
    for z in range(count):
        session.add_instances((z,), scene())
    return session


def click(session, x, y, key=(), **changes):
    prompts = Prompts(((float(x), float(y)),), (1,))
    session.prompt(key, dataclasses.replace(prompts, **changes))


def commit(session, x, y, policy="small on top", key=(), **changes):
    click(session, x, y, key, **changes)
    return session.commit(key, policy)


SMALL_ONE = {"step": -1}  # of the two candidates at (30, 30) the larger has the higher score


places = st.tuples(st.integers(0, 79), st.integers(0, 59))


slices = st.integers(0, 1).map(lambda z: (z,))


ids = st.integers(0, 6)


action = st.one_of(
    st.tuples(st.just("point"), slices, places, st.booleans()),
    st.tuples(st.just("box"), slices, places, places),
    st.tuples(st.just("cycle"), slices, st.sampled_from([-1, 1])),
    st.tuples(st.just("commit"), slices, st.sampled_from(POLICIES)),
    st.tuples(st.just("commit_all"), slices, st.booleans()),
    st.tuples(st.just("delete"), slices, ids),
    st.tuples(st.just("merge"), slices, ids, ids),
    st.tuples(st.just("split"), slices, ids),
    st.tuples(st.just("split_off"), slices),
    st.tuples(st.just("recall"), slices, ids),
    st.tuples(st.just("undo")),
    st.tuples(st.just("redo")),
)


def act(session, name, key=(), *args):
    prompts = session.prompts(key)
    if name == "point":
        session.prompt(key, prompts.with_point(*args))
    elif name == "box":
        (x0, y0), (x1, y1) = np.sort(np.array(args), axis=0).tolist()
        session.prompt(key, dataclasses.replace(prompts, boxes=((x0, y0, x1, y1),)))
    elif name == "cycle":
        session.cycle(key, *args)
    elif name == "commit":
        session.commit(key, *args)
    elif name == "commit_all":
        session.commit_all([(0,), (1,)] if args[0] else [key], linking=LinkOptions())
    elif name == "delete":
        session.delete(args, key)
    elif name == "merge":
        session.merge(args, key)
    elif name == "split":
        session.split(*args, key)
    elif name == "split_off":
        session.split_off(key)
    elif name == "recall":
        session.recall(key, *args)
    else:
        getattr(session.history, name)()


def state(session):
    prompts = {k: session.prompts(k) for k in ((0,), (1,))}
    labels, counts = np.unique(session.objects.canvas.array, return_counts=True)
    areas = dict(zip(labels.tolist(), counts.tolist(), strict=True))
    for label, area in areas.items():
        assert label == 0 or session.objects.areas[label] == area
    return (
        session.objects.canvas.array.copy(),
        copy.deepcopy(prompts),
        repr(sorted(session.objects.known.items())),
    )


def same(a, b):
    return np.array_equal(a[0], b[0]) and a[1:] == b[1:]


def labels(session):
    return session.objects.canvas.array


IMAGE = np.arange(SHAPE[0] * SHAPE[1], dtype=np.uint16).reshape(SHAPE)


RECORD = ImageRecord("plain", None, SHAPE, (0, 1))


OLD = Path(__file__).parent / "data" / "plain-08228162.json"  # by the code before pixels were known


class Opening:
    """An image that is opened, as the window does, with threads that run when they are told to."""

    def __init__(self, folder, image=IMAGE, record=RECORD, at_once=True):
        self.sessions, self.identity = SessionFolder(folder), Identity([image])
        self.waiting, self.told, self.timers = [], [], []
        self.session, self.record, self.at_once = plain(), record, at_once
        self.saver = Saver(
            self.session, lambda: record, None, self.run, self.sessions, self.identity,
            self.told.append, lambda seconds, act: self.timers.append(act),
        )  # fmt: skip
        self.session.history.listeners.append(
            lambda step: self.saver.changed({()} if step.pixels else set())
        )

    def run(self, then, work):
        if self.at_once:
            then(work())
        else:
            self.waiting.append(lambda: then(work()))

    def offers(self):
        return self.sessions.of(dataclasses.replace(self.record, content=self.identity.get()))

    def reopen(self, path):
        self.saver.flush()
        saved = saving.read(path)
        self.session.attach(None)
        self.session.forget()
        self.session.attach(ArrayCanvas(np.zeros(SHAPE, np.int32)), empty=True)
        saving.restore(self.session, saved)
        self.saver.new_file(path)


def count(path):
    return len(json.loads(Path(path).read_text())["objects"])


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
