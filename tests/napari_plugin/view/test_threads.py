"""Requests in threads: answers come in order, to the window's thread, and stale ones never."""

from __future__ import annotations

import threading

import pytest

from napari_plugin.view.threads import Latest, Requests, run


@pytest.fixture
def requests(window):
    window.busy = []
    return Requests(window.busy.append)


def test_answers_come_in_order_in_the_thread_of_the_window(window, requests):
    told = []

    def work(count, stop):
        for number in range(count):
            yield number
            yield None

    requests.start(lambda n: told.append((n, threading.get_ident())), work, 3, total=6, desc="it")
    assert window.busy == [True]
    window.wait(lambda: window.busy == [True, False])
    assert told == [(n, threading.get_ident()) for n in range(3)]
    assert requests.worker is None


def test_what_an_earlier_request_still_finds_is_dropped(window, requests):
    told, go = [], threading.Event()

    def slow(stop):
        go.wait(30)
        yield "stale"

    def quick(stop):
        yield "fresh"

    requests.start(told.append, slow)
    first = requests.worker
    requests.start(told.append, quick)
    window.wait(lambda: told == ["fresh"])
    go.set()
    window.wait(lambda: not first.is_running)
    window.wait(least=0.2)
    assert told == ["fresh"]
    assert window.busy == [True, False, True, False]


def test_an_answer_that_was_under_way_when_it_was_cancelled_is_dropped(window, requests):
    told, said = [], threading.Event()

    def work(stop):
        yield "answer"
        said.set()
        assert stop.wait(30)

    requests.start(told.append, work)
    said.wait(30)  # it waits in the window's queue now
    requests.cancel()
    requests.cancel()
    window.wait(least=0.2)
    assert told == []
    assert window.busy == [True, False]


def test_work_in_a_thread_and_what_comes_after_it(window):
    told = []
    run(lambda made: told.append((made, threading.get_ident())), lambda a, b: a + b, 1, 2)
    window.wait(lambda: told)
    assert told == [(3, threading.get_ident())]


def test_of_what_is_asked_for_meanwhile_only_the_last_is_done(window):
    told, done, latest = [], [], Latest()

    def work(number):
        done.append(number)
        return number

    for number in range(5):
        latest.start(told.append, work, number)
    window.wait(lambda: not latest.busy)
    assert done == told == [0, 4]
