"""Who may stop work, and whose."""

from __future__ import annotations

import pytest

from fastsam_plugins.network import interrupting
from fastsam_plugins.network.interrupting import Interrupted, interruptible


def test_nobody_stops_what_nobody_may_stop():
    interrupting.check()
    assert not interrupting.asked()


def test_it_goes_on_until_somebody_says_stop():
    said = []

    def work():
        with interruptible(lambda: bool(said)):
            interrupting.check()
            assert interrupting.asked()
            said.append(1)
            interrupting.check()
            pytest.fail("it went on")

    with pytest.raises(Interrupted, match="stopped on request"):
        work()
    assert not interrupting.asked()
    interrupting.check()


def test_the_outer_one_stops_the_inner_too():
    said = []

    def work():
        with interruptible(lambda: bool(said)):
            with interruptible(lambda: False):
                said.append(1)
            pytest.fail("the inner one went on")

    with pytest.raises(Interrupted):
        work()
