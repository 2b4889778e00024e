# SPDX-License-Identifier: Apache-2.0
"""koe's cache of assets: nothing is in its place before its bytes are known to be right.

A file is written under a temporary name, hashed on the way, flushed to the disk and moved into its place in
one step, so a crash leaves either the whole file or none. Writers hold a lock, one for each kind of asset.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from koe.assets.manifest import Asset, Manifest
from koe.assets.progress import Progress
from koe.assets.sources import SourceError

_PART_SUFFIX = ".part"
_STAMP_SUFFIX = ".verified"
_CHUNK_BYTES = 1 << 20


class CacheError(Exception):
    """The cache cannot be read or written; no source can help."""


def cache_root() -> Path:
    """koe's cache folder: `KOE_CACHE`, or the system's place for caches. It need not exist."""
    if override := os.environ.get("KOE_CACHE"):
        return Path(override).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("koe", appauthor=False))


class AssetCache:
    """One manifest's files under one cache folder. Safe across threads and processes."""

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self.root = root
        self._folders = {"model": root / manifest.name, "voice": root / manifest.name / "voices"}

    def place(self, asset: Asset) -> Path:
        """Where the asset lies or would lie."""
        return self._folders[asset.kind] / asset.file

    def find(self, asset: Asset) -> Path | None:
        """The asset's file if it is there and its bytes are right.

        A file is hashed once; while its size, time and inode stay as they were then, the stamp beside it
        vouches for it.

        Raises:
            CacheError: A file is there and cannot be read.
        """
        path = self.place(asset)
        try:
            if self._stamp_holds(path, asset):
                return path
            if path.stat().st_size != asset.size:
                return None
            before = _identity(path)
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise CacheError(f"{path} cannot be read: {error.strerror}") from error
        if digest != asset.sha256:
            return None
        # A cache that only others may write is a good cache: it is hashed each time.
        with suppress(OSError):
            self._write_stamp(path, asset, before)
        return path

    def glance(self, asset: Asset) -> bool:
        """Whether a file of the right size is in the asset's place; nothing is hashed."""
        try:
            return self.place(asset).stat().st_size == asset.size
        except OSError:
            return False

    @contextmanager
    def writing(self, asset: Asset, progress: Progress) -> Iterator[None]:
        """Hold the lock on the asset's kind, waiting for another writer to end.

        Raises:
            CacheError: The folder cannot be made or locked.
        """
        from filelock import FileLock, Timeout

        folder = self._folders[asset.kind]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / f".{asset.kind}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                with progress.task(f"waiting for another process to fetch the {asset.kind}", None):
                    lock.acquire()
        except OSError as error:
            raise CacheError(f"{folder} cannot be written: {error.strerror}") from error
        try:
            # Under the lock, a part can only be what a killed writer left.
            with _writes(folder / "part"):
                for part in folder.glob(f".*{_PART_SUFFIX}"):
                    part.unlink(missing_ok=True)
            yield
        finally:
            lock.release()

    @contextmanager
    def store(self, asset: Asset) -> Iterator[_HashedFile]:
        """A sink for the asset's bytes (see `koe.assets.sources.Store`); the lock must be held.

        Raises:
            SourceError: The bytes are not the manifest's.
            CacheError: They cannot be written.
        """
        path = self.place(asset)
        part = path.with_name(f".{asset.file}.{os.getpid()}-{secrets.token_hex(4)}{_PART_SUFFIX}")
        try:
            with _writes(part):
                file = part.open("xb")
            with file:
                sink = _HashedFile(file, part, asset.size)
                yield sink
                sink.check(asset)
                with _writes(part):
                    file.flush()
                    os.fsync(file.fileno())
            with _writes(path):
                part.replace(path)
                _sync_folder(path.parent)
                self._write_stamp(path, asset, _identity(path))
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)

    def _stamp_holds(self, path: Path, asset: Asset) -> bool:
        try:
            stamp = json.loads(_stamp_path(path).read_bytes())
        except (FileNotFoundError, ValueError):
            return False
        return bool(stamp == {"sha256": asset.sha256, **_identity(path)})

    def _write_stamp(self, path: Path, asset: Asset, identity: dict[str, int]) -> None:
        stamp = _stamp_path(path)
        part = stamp.with_name(f"{stamp.name}.{secrets.token_hex(4)}{_PART_SUFFIX}")
        try:
            part.write_text(json.dumps({"sha256": asset.sha256, **identity}), encoding="ascii")
            part.replace(stamp)
        finally:
            part.unlink(missing_ok=True)


class _HashedFile:
    """Writes and hashes; refuses more than the asset's size, so that a wrong source cannot fill the disk."""

    def __init__(self, file: BinaryIO, path: Path, limit: int) -> None:
        self._file = file
        self._path = path
        self._limit = limit
        self._size = 0
        self._hash = hashlib.sha256()

    def write(self, data: bytes, /) -> None:
        self._size += len(data)
        if self._size > self._limit:
            raise SourceError(f"it gave more than the {self._limit} bytes of the manifest")
        self._hash.update(data)
        with _writes(self._path):
            self._file.write(data)

    def check(self, asset: Asset) -> None:
        if self._size != asset.size:
            raise SourceError(f"it gave {self._size} of {asset.size} bytes")
        if (digest := self._hash.hexdigest()) != asset.sha256:
            raise SourceError(f"wrong bytes: their sha256 is {digest}, and the manifest's {asset.sha256}")


@contextmanager
def _writes(path: Path) -> Iterator[None]:
    # Tells a full disk from a broken connection: the first ends the search, the second the source.
    try:
        yield
    except OSError as error:
        raise CacheError(f"{path.parent} cannot be written: {error.strerror}") from error


def _stamp_path(path: Path) -> Path:
    return path.with_name(f".{path.name}{_STAMP_SUFFIX}")


def _identity(path: Path) -> dict[str, int]:
    status = path.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "inode": status.st_ino}


def _sync_folder(folder: Path) -> None:
    # Windows has no such call, and needs none.
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
