# SPDX-License-Identifier: Apache-2.0
"""Finds assets: what the user names, then koe's cache, then the manifest's sources."""

from __future__ import annotations

import difflib
import os
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from koe.assets.cache import AssetCache, CacheError, cache_root
from koe.assets.manifest import Asset, Manifest, load_manifest
from koe.assets.progress import Progress, terminal_progress
from koe.assets.sources import SourceError
from koe.errors import DownloadError, InvalidVoiceError, ModelNotFoundError, VoiceNotFoundError

_STYLE_SUFFIXES = (".bin", ".npy")


@dataclass(frozen=True)
class ModelFile:
    """The model's file.

    Attributes:
        path: Where it lies.
        sha256: Of the manifest's model; None for a user's file, whose bytes nobody has checked.
    """

    path: Path
    sha256: str | None = None


@dataclass(frozen=True)
class VoiceFile:
    """Where a voice's style pack lies.

    Attributes:
        path: A style pack, or an archive of several.
        member: The voice's name in the archive, None where `path` is the pack itself.
    """

    path: Path
    member: str | None = None


@dataclass(frozen=True)
class AssetReport:
    """Where things are, as far as can be told without fetching or hashing.

    Attributes:
        cache: koe's cache folder.
        model: The model that would be used, None where it must be fetched first.
        model_origin: "KOE_MODEL", "cache" or "to be fetched".
        model_sources: Where it would be fetched from, in the order of trying.
        voices: What `KOE_VOICES` names, None where it is not set.
        voices_cached: Voices that lie in the cache.
        voices_known: Every voice that can be had.
        voice_sources: Where voices would be fetched from, in the order of trying.
    """

    cache: Path
    model: Path | None
    model_origin: Literal["KOE_MODEL", "cache", "to be fetched"]
    model_sources: tuple[str, ...]
    voices: Path | None
    voices_cached: tuple[str, ...]
    voices_known: tuple[str, ...]
    voice_sources: tuple[str, ...]


class AssetStore:
    """Finds one manifest's model and voices. Safe across threads and processes."""

    def __init__(self, manifest: Manifest, root: Path) -> None:
        self.manifest = manifest
        self.root = root
        self.cache = AssetCache(root, manifest)

    def model_path(self, explicit: str | os.PathLike[str] | None = None, *, progress: bool | None = None) -> Path:
        """See `koe.assets.model_path`."""
        return self.model_file(explicit, progress=progress).path

    def model_file(self, explicit: str | os.PathLike[str] | None = None, *, progress: bool | None = None) -> ModelFile:
        """See `koe.assets.model_file`."""
        named = _named(explicit, "KOE_MODEL")
        if named is not None:
            path, origin = named
            if not path.is_file():
                what = "is a folder; give the file in it" if path.is_dir() else "does not exist"
                raise ModelNotFoundError(f"the model {path}{origin} {what}")
            return ModelFile(path)
        model = self.manifest.model
        try:
            return ModelFile(self._obtain(model, {}, ["KOE_MODEL: not set"], progress), model.sha256)
        except DownloadError as error:
            raise ModelNotFoundError(str(error)) from error

    def voice_path(
        self, name: str, explicit: str | os.PathLike[str] | None = None, *, progress: bool | None = None
    ) -> VoiceFile:
        """See `koe.assets.voice_path`."""
        named = _named(explicit, "KOE_VOICES")
        theirs = _user_voices(*named) if named is not None else {}
        if name in theirs:
            return theirs[name]
        asset = self.manifest.voices.get(name)
        if asset is None:
            raise VoiceNotFoundError(_no_such_voice(name, {**theirs, **self.manifest.voices}))
        tried = f"KOE_VOICES: {named[0]} holds no {name}" if named is not None else "KOE_VOICES: not set"
        try:
            return VoiceFile(self._obtain(asset, self.manifest.voices, [tried], progress))
        except DownloadError as error:
            raise VoiceNotFoundError(str(error)) from error

    def voice_names(self, explicit: str | os.PathLike[str] | None = None) -> list[str]:
        """See `koe.assets.voice_names`."""
        named = _named(explicit, "KOE_VOICES")
        theirs = _user_voices(*named) if named is not None else {}
        return sorted({*theirs, *self.manifest.voices})

    def fetch(
        self,
        voices: Iterable[str] | Literal["all"] = (),
        *,
        model: bool = True,
        progress: bool | None = None,
    ) -> list[Path]:
        """See `koe.assets.fetch`."""
        names: Sequence[str] = [voices] if isinstance(voices, str) else list(voices)
        if names == ["all"]:
            names = list(self.manifest.voices)
        for name in names:
            if name not in self.manifest.voices:
                raise VoiceNotFoundError(_no_such_voice(name, self.manifest.voices))
        paths = [self._obtain(self.manifest.model, {}, [], progress)] if model else []
        paths += [self._obtain(self.manifest.voices[name], self.manifest.voices, [], progress) for name in names]
        return paths

    def describe(self) -> AssetReport:
        """See `koe.assets.describe`."""
        model, voices = _named(None, "KOE_MODEL"), _named(None, "KOE_VOICES")
        cached = self.cache.glance(self.manifest.model)
        some_voice = next(iter(self.manifest.voices.values()), None)
        return AssetReport(
            cache=self.root,
            model=model[0] if model else self.cache.place(self.manifest.model) if cached else None,
            model_origin="KOE_MODEL" if model else "cache" if cached else "to be fetched",
            model_sources=tuple(source.label for source in self.manifest.model.sources),
            voices=voices[0] if voices else None,
            voices_cached=tuple(n for n, asset in self.manifest.voices.items() if self.cache.glance(asset)),
            voices_known=tuple(self.voice_names()),
            voice_sources=tuple(source.label for source in some_voice.sources) if some_voice else (),
        )

    def _obtain(self, asset: Asset, family: Mapping[str, Asset], tried: list[str], show: bool | None) -> Path:
        """The asset's file in the cache, fetched where it is not there.

        Raises:
            DownloadError: No source gave the right bytes, or the cache cannot be used.
        """
        progress = terminal_progress(show)
        try:
            if found := self.cache.find(asset):
                return found
            with self.cache.writing(asset, progress):
                # Another process may have stored it while this one waited for the lock.
                if found := self.cache.find(asset):
                    return found
                return self._fetch(asset, family, tried, progress)
        except CacheError as error:
            raise DownloadError(
                f"{_title(asset)} could not be stored: {error}. KOE_CACHE can name another folder."
            ) from error

    def _fetch(self, asset: Asset, family: Mapping[str, Asset], tried: list[str], progress: Progress) -> Path:
        place = self.cache.place(asset)
        state = "the file there has other bytes than the manifest's" if place.exists() else "not there"
        tried = [*tried, f"koe's cache, {place}: {state}"]
        lacking = {name: item for name, item in family.items() if not self.cache.glance(item)}
        for source in asset.sources:
            try:
                source.deliver(asset, lacking, self.cache.store, progress)
            except (SourceError, OSError) as error:
                tried.append(f"{source.label}: {error}")
            else:
                return place
        raise DownloadError(_nothing_left(asset, tried))


def default_store() -> AssetStore:
    """The packaged manifest's files in koe's cache, as the environment says now."""
    return AssetStore(load_manifest(), cache_root())


def _named(explicit: str | os.PathLike[str] | None, variable: str) -> tuple[Path, str] | None:
    """The path a user gives and, for messages, how."""
    if explicit is not None:
        return Path(explicit).expanduser(), ""
    if value := os.environ.get(variable):
        return Path(value).expanduser(), f" (from {variable})"
    return None


def _user_voices(path: Path, origin: str) -> dict[str, VoiceFile]:
    """The voices in a user's folder, archive or single file, by name."""
    if path.is_dir():
        voices: dict[str, VoiceFile] = {}
        for file in sorted(path.iterdir()):
            if file.suffix == ".npz" and file.is_file():
                voices.update(_archive_voices(file))
            elif file.suffix in _STYLE_SUFFIXES and file.is_file():
                # kokoro-onnx gives its archive of voices the ending .bin as well.
                voices.update(_archive_voices(file) if zipfile.is_zipfile(file) else {file.stem: VoiceFile(file)})
        if not voices:
            raise VoiceNotFoundError(f"the folder {path}{origin} holds no voice: no .bin, .npy or .npz file")
        return voices
    if not path.is_file():
        raise VoiceNotFoundError(f"the voices {path}{origin} do not exist")
    if path.suffix == ".npz" or zipfile.is_zipfile(path):
        return _archive_voices(path)
    return {path.stem: VoiceFile(path)}


def _archive_voices(path: Path) -> dict[str, VoiceFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    except (zipfile.BadZipFile, OSError) as error:
        raise InvalidVoiceError(f"{path} is no archive of voices (.npz): {error}") from error
    return {name: VoiceFile(path, name) for name in names}


def _no_such_voice(name: str, known: Mapping[str, object]) -> str:
    def likeness(candidate: str) -> float:
        # People leave out the prefix that says language and gender.
        names = (candidate, candidate.partition("_")[2])
        return max(difflib.SequenceMatcher(None, name.lower(), n).ratio() for n in names)

    near = [k for k in sorted(known, key=likeness, reverse=True)[:3] if likeness(k) >= 0.6]
    hint = f"; the nearest names are {', '.join(near)}" if near else ""
    return f"no voice is named {name!r}{hint}. `koe voices` lists all {len(known)}."


def _nothing_left(asset: Asset, tried: Sequence[str]) -> str:
    remedies = [remedy for source in asset.sources if (remedy := source.remedy)]
    if asset.kind == "model":
        remedies += ["koe fetch  (on a machine with a network; KOE_CACHE names the folder to carry over)"]
        remedies += ["export KOE_MODEL=/path/to/kokoro.onnx  (any ONNX export of Kokoro-82M)"]
    else:
        remedies += [f"koe fetch --voices {asset.name}  (on a machine with a network)"]
        remedies += [f"export KOE_VOICES=/path/to/voices  (a folder with {asset.file}, or an .npz of voices)"]
    lines = [f"{_title(asset)} could not be had. Tried:", *(f"  - {line}" for line in tried)]
    return "\n".join([*lines, "What would help:", *(f"  {line}" for line in remedies)])


def _title(asset: Asset) -> str:
    return f"the {asset.kind} {asset.name} ({asset.size / 1e6:.1f} MB)"
