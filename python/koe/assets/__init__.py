# SPDX-License-Identifier: Apache-2.0
"""The model and the voices: found, fetched where they are missing, and known by their sha256 before use."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from koe.assets.cache import cache_root
from koe.assets.store import AssetReport, ModelFile, VoiceFile, default_store

__all__ = [
    "AssetReport",
    "ModelFile",
    "VoiceFile",
    "bundle_cache_dir",
    "cache_root",
    "describe",
    "fetch",
    "model_file",
    "model_path",
    "voice_names",
    "voice_path",
]


def model_path(explicit: str | os.PathLike[str] | None = None, *, progress: bool | None = None) -> Path:
    """The model's file: the user's, or the manifest's, fetched where the cache lacks it.

    Args:
        explicit: A file of the user's; any bytes will do. None takes `KOE_MODEL`, then the manifest's model.
        progress: Whether to draw a bar; None draws one on a terminal.

    Raises:
        ModelNotFoundError: The user's file does not exist, or no source had the model.
    """
    return model_file(explicit, progress=progress).path


def model_file(explicit: str | os.PathLike[str] | None = None, *, progress: bool | None = None) -> ModelFile:
    """`model_path`, with the sha256 of the manifest's model, whose bytes were checked when it was stored.

    Raises: as `model_path`.
    """
    return default_store().model_file(explicit, progress=progress)


def voice_path(name: str, explicit: str | os.PathLike[str] | None = None, *, progress: bool | None = None) -> VoiceFile:
    """A voice's style pack: the user's where there is one of that name, or the manifest's.

    Args:
        name: A single voice, such as "af_bella".
        explicit: A folder of `.bin`, `.npy` and `.npz` files, one archive of voices, or one pack named for
            its voice; any bytes will do. None takes `KOE_VOICES`.
        progress: Whether to draw a bar; None draws one on a terminal.

    Raises:
        VoiceNotFoundError: No voice has this name, `explicit` does not exist, or no source had the voice.
        InvalidVoiceError: The user's archive is damaged.
    """
    return default_store().voice_path(name, explicit, progress=progress)


def voice_names(explicit: str | os.PathLike[str] | None = None) -> list[str]:
    """Names of all voices that can be had: the manifest's and the user's, sorted. Fetches nothing."""
    return default_store().voice_names(explicit)


def fetch(
    voices: Iterable[str] | Literal["all"] = (), *, model: bool = True, progress: bool | None = None
) -> list[Path]:
    """Get the manifest's files ahead of time; what the cache has is only checked.

    Args:
        voices: Names of voices, or "all".
        model: Whether to get the model as well.
        progress: Whether to draw a bar; None draws one on a terminal.

    Returns:
        The files in the cache: the model's, then the voices' in the order given.

    Raises:
        VoiceNotFoundError: No voice has one of these names; nothing is fetched then.
        DownloadError: No source had one of the files, or the cache cannot be written.
    """
    return default_store().fetch(voices, model=model, progress=progress)


def bundle_cache_dir() -> Path:
    """The cache's folder for prepared bundles. It need not exist."""
    return cache_root() / "bundles"


def describe() -> AssetReport:
    """Where the model and voices are. Fetches and hashes nothing."""
    return default_store().describe()
