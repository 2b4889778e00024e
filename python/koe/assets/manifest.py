# SPDX-License-Identifier: Apache-2.0
"""What koe's model and voices must be, byte for byte, and where they can come from."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from koe.assets.sources import HttpsFile, HubFile, InstalledPackages, NpmPackage, Source

PACKAGED_MANIFEST = Path(__file__).with_name("manifest.toml")

_FORMAT = 1
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Asset:
    """One file, known by its bytes.

    Attributes:
        kind: "model" or "voice".
        name: The voice's name, or the model's file name.
        file: Its file name in the cache.
        size: Bytes.
        sha256: Lower-case hexadecimal.
        sources: Where it can come from, in the order of trying.
    """

    kind: Literal["model", "voice"]
    name: str
    file: str
    size: int
    sha256: str
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class Manifest:
    """A model and its voices.

    Attributes:
        name: Names the set; a folder of the cache bears it.
        model: The model.
        voices: The voices by name, in the manifest's order.
    """

    name: str
    model: Asset
    voices: Mapping[str, Asset]


@lru_cache(maxsize=8)
def load_manifest(path: Path = PACKAGED_MANIFEST) -> Manifest:
    """Read a manifest.

    Args:
        path: A TOML file laid out as the packaged one.

    Raises:
        ValueError: The file is not such a manifest.
        OSError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = tomllib.load(file)
        if data["format"] != _FORMAT:
            raise ValueError(f"format {data['format']}, and this koe reads {_FORMAT}")
        model, voices = data["model"], data["voices"]
        return Manifest(
            name=_file_name(data["name"]),
            model=_asset("model", model["file"], model, model["sha256"], model["sources"]),
            voices={
                name: _asset("voice", name, voices, sha256, voices["sources"])
                for name, sha256 in voices["sha256"].items()
            },
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a manifest of koe's: {error!r}") from error


def _asset(
    kind: Literal["model", "voice"],
    name: str,
    table: Mapping[str, Any],
    sha256: str,
    sources: Sequence[Mapping[str, Any]],
) -> Asset:
    if not _SHA256.fullmatch(sha256):
        raise ValueError(f"{name}: {sha256!r} is not a sha256")
    return Asset(
        kind=kind,
        name=_file_name(name),
        file=_file_name(table["file"].format(voice=name)),
        size=int(table["size"]),
        sha256=sha256,
        sources=tuple(_source(entry, name) for entry in sources),
    )


def _source(entry: Mapping[str, Any], voice: str) -> Source:
    match entry["kind"]:
        case "packages":
            return InstalledPackages(tuple(entry["distributions"]), entry["version"], entry["member"])
        case "npm":
            return NpmPackage(entry["package"], entry["version"], entry["member"].format(voice=voice))
        case "hub":
            return HubFile(entry["repo"], entry["revision"], entry["file"].format(voice=voice))
        case "https":
            return HttpsFile(entry["url"].format(voice=voice))
        case kind:
            raise ValueError(f"no source is of the kind {kind!r}")


def _file_name(name: str) -> str:
    # Names become paths in the cache: nothing in a manifest may point outside it.
    if not _FILE_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no plain file name")
    return name
