"""From a name to a loaded CLIP, once; no code in a file of weights is run.

A name is one of

- ``NAME/TAG``: weights that open_clip knows, such as ``ViT-B-32/openai``;
- ``NAME/FILE``: a network that open_clip knows, with weights of your own;
- a folder with ``open_clip_config.json`` and a file of weights, or a file of weights in one.

What is not on this machine is downloaded by :func:`download` alone: loading contacts nobody.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import logging
import os
import pickle
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from fastsam_plugins.messages import install, one_line
from fastsam_plugins.network.checkpoints import WeightsError
from fastsam_plugins.text.clip import Clip

CONFIG = "open_clip_config.json"
_ENDINGS = (".safetensors", ".pt", ".pth", ".bin")


@dataclass(frozen=True)
class _Named:
    """What a name stands for: a network, and a tag of open_clip or a file on this machine."""

    name: str
    network: str
    tag: str = ""
    file: Path | None = None


def load(name: str | Path, device: str | Any = "auto") -> Clip:
    """Load a CLIP by name; asked again, it is the same one.

    Parameters
    ----------
    name : str or path
        See above.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.

    Raises
    ------
    WeightsError
        If open_clip is not installed, or there is no such network, tag or file, or the weights
        are not on this machine, cannot be read, or do not fit. One line that says what to do.
    """
    from fastsam_plugins.network.devices import pick_device

    source = find(name)
    stamp = source.file.stat().st_mtime_ns if source.file else 0
    return _load(source, str(pick_device(str(device))), stamp)


def download(name: str | Path) -> Path:
    """Download a CLIP that open_clip knows, with all that its network needs, and try it.

    Returns
    -------
    path
        The file of weights.

    Raises
    ------
    WeightsError
        If there is no such network or tag, or the download fails.
    """
    source = find(name)
    return source.file or _built(source, "cpu", online=True)[1]


def find(name: str | Path) -> _Named:
    """What a name stands for; nothing is downloaded or read.

    Raises
    ------
    WeightsError
        If there is no such network, tag or file.
    """
    text = str(name)
    path = Path(text).expanduser()
    if text and path.exists():
        return _local(path, text)
    open_clip = _open_clip()
    network, _, weights = text.partition("/")
    known = open_clip.list_models()
    if network not in known:
        near = difflib.get_close_matches(network, known, 3, 0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "open_clip.list_models() lists all"
        raise WeightsError(
            f"{text!r} is neither a file or folder nor a network of open_clip, which knows no "
            f"{network!r}: {hint}"
        )
    tags = open_clip.list_pretrained_tags_by_model(network)
    if open_clip.is_pretrained_cfg(network, weights):
        return _Named(text, network, tag=weights)
    if weights and Path(weights).expanduser().is_file():
        return _Named(text, network, file=Path(weights).expanduser())
    offered = f"its tags are {', '.join(tags)}" if tags else "open_clip has no weights for it"
    missing = f"{weights!r} is neither a tag of {network} nor a file" if weights else \
        f"{text} names no weights"  # fmt: skip
    raise WeightsError(f"{missing}: write NAME/TAG or NAME/FILE; {offered}")


def _local(path: Path, name: str) -> _Named:
    folder = path if path.is_dir() else path.parent
    if not (folder / CONFIG).is_file():
        raise WeightsError(
            f"there is no {CONFIG} in {folder}, which says what network the weights are for: add "
            "it, or write NAME/FILE with the name of a network that open_clip knows"
        )
    if path.is_dir():
        files = [f for ending in _ENDINGS for f in sorted(path.glob(f"*{ending}"))]
        if not files:
            raise WeightsError(f"there are no weights in {path}: add {', '.join(_ENDINGS)}")
        path = files[0]
    return _Named(name, f"local-dir:{folder.resolve()}", file=path)


@functools.lru_cache(maxsize=2)
def _load(named: _Named, device: str, stamp: int) -> Clip:
    """``stamp`` is the file's time: what was trained anew is loaded anew."""
    return _built(named, device)[0]


def _built(named: _Named, device: str, online: bool = False) -> tuple[Clip, Path]:
    open_clip = _open_clip()
    config = open_clip.get_pretrained_cfg(named.network, named.tag) if named.tag else {}
    file = named.file or (_download(named, config) if online else _kept(named, config))
    try:
        # Some networks have their tokenizer, and what they are made of, on a server too.
        with _root_logger_left_alone(), contextlib.nullcontext() if online else _offline():
            # open_clip takes the activation from the network's name, and only warns where a tag
            # was trained with another one.
            model = open_clip.create_model(
                named.network, load_weights=False, pretrained_text=False,
                force_quick_gelu=bool(config.get("quick_gelu")), force_preprocess_cfg=config,
            )  # fmt: skip
            tokenizer = open_clip.get_tokenizer(named.network)
    except Exception as error:  # a description may be wrong in any way, a tokenizer not be there
        raise WeightsError(f"{named.name} cannot be built ({one_line(error)})") from error
    try:
        with _root_logger_left_alone():
            open_clip.load_checkpoint(model, str(file), strict=True, weights_only=True)
    except Exception as error:  # damaged bytes, code in a pickle, parameters of another network
        raise WeightsError(
            f"{file} cannot be used as weights of {named.network} ({_reason(error)}): it has to "
            "hold parameters alone, best as .safetensors"
        ) from error
    return Clip(model.to(device), tokenizer, named.name), file


def _reason(error: Exception) -> str:
    if isinstance(error, pickle.UnpicklingError):  # PyTorch's words advise to run what is in it
        return "it is damaged or holds code"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("Error(s) in loading"):
        return lines[1][:150]
    return one_line(error)[:200]


def _kept(named: _Named, config: dict[str, Any]) -> Path:
    """The file of a tag's weights, if it is on this machine."""
    from open_clip.pretrained import download_pretrained

    with contextlib.suppress(Exception):  # whatever a library says when it may not download
        if config.get("hf_hub"):
            with _offline(), _root_logger_left_alone():
                return Path(download_pretrained(config))
        file = cache_folder(config) / config["url"].rpartition("/")[2]
        if file.is_file():
            return file
    raise WeightsError(
        f"{named.name} is not on this machine: `fastsam models --download {named.name}` gets it; "
        f"or copy the weights from another machine, either its cache folder "
        f"{cache_folder(config)}, or the file itself, to be named {named.network}/FILE"
    )


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """Within this, Hugging Face's libraries take what is on this machine, and ask nobody.

    Their environment variable counts only where it is set before they are imported.
    """
    from huggingface_hub import constants

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(constants, "HF_HUB_OFFLINE", True))
        hub = sys.modules.get("transformers.utils.hub")
        if hasattr(hub, "_is_offline_mode"):  # transformers before 5 keep a copy
            stack.enter_context(mock.patch.object(hub, "_is_offline_mode", True))
        yield


def _download(named: _Named, config: dict[str, Any]) -> Path:
    from open_clip.pretrained import download_pretrained

    hub = logging.getLogger("huggingface_hub")
    before = hub.level
    hub.setLevel(logging.ERROR)  # it tells of each of a dozen attempts
    try:
        with _root_logger_left_alone():
            return Path(download_pretrained(config))
    except Exception as error:  # every library between here and the server has its own
        reason = one_line(error.__cause__ or error)[:200]
        raise WeightsError(
            f"could not download {named.name} ({reason}): bring the network back, or copy the "
            f"weights from another machine, either its cache folder {cache_folder(config)}, or the "
            f"file itself, to be named {named.network}/FILE"
        ) from error
    finally:
        hub.setLevel(before)


def cache_folder(config: dict[str, Any]) -> Path:
    """Where open_clip keeps the weights of a tag."""
    if config.get("hf_hub"):
        from huggingface_hub.constants import HF_HUB_CACHE

        repository = os.path.split(config["hf_hub"])[0]
        return Path(HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    return Path(os.path.expanduser("~/.cache/clip"))  # as it says itself, also without a home


def _open_clip() -> Any:
    try:
        import open_clip
    except ImportError as error:
        raise WeightsError(f"text prompts need open_clip ({error}): {install('text')}") from None
    return open_clip


@contextlib.contextmanager
def _root_logger_left_alone() -> Iterator[None]:
    """open_clip logs by ``logging.info``, which gives the root logger a handler if it has none."""
    before = list(logging.root.handlers)
    silence = logging.Filter("nothing is called so")
    logging.root.addFilter(silence)
    try:
        yield
    finally:
        logging.root.removeFilter(silence)
        logging.root.handlers[:] = before
