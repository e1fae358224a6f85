"""A device's name to the device."""

from __future__ import annotations

import pytest
import torch

from fastsam_plugins.network.devices import pick_device


def test_auto_is_an_accelerator_if_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert pick_device("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device("auto") == torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto") == torch.device("cuda")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "cpu:-1"])
def test_what_is_no_name_of_a_device_lists_the_names(name):
    with pytest.raises(
        ValueError, match=f"device must be auto, cpu, mps, cuda or cuda:N, got '{name}'"
    ):
        pick_device(name)


@pytest.mark.parametrize(
    ("name", "count"), [("cuda", 0), ("cuda:2", 2), ("mps", 0), ("meta", 1), ("cpu:1", 1)]
)
def test_what_is_not_here_is_refused(name, count, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match=f"there is no device '{name}' here: use auto or cpu"):
        pick_device(name)


def test_the_last_of_several_is_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device("cuda:1") == torch.device("cuda", 1)
