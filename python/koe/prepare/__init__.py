# SPDX-License-Identifier: Apache-2.0
"""From any usual ONNX export of Kokoro-82M to koe's bundle."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from koe.errors import InvalidModelError, ModelNotFoundError

if TYPE_CHECKING:
    import numpy.typing as npt
    from onnx import ModelProto

    from koe import _core
    from koe.prepare.graph import Constant

__all__ = ["REVISION", "Progress", "bundle_name", "open_cached", "prepare", "prepare_cached", "source_sha256"]

REVISION = 2
"""Of what is made of an export; another one makes the cache's bundles anew. The file format is another matter."""
Progress = Callable[[str, float], None]
"""Called with what is being done and the share of the whole that is done, 0 to 1."""

# Exports that keep their weights in files beside the model are small themselves.
_MAX_SKELETON_BYTES = 64 << 20


def prepare(
    model_path: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    progress: Progress | None = None,
    voices: Mapping[str, npt.NDArray[Any]] | None = None,
    model_version: str | None = None,
) -> Path:
    """Writes the bundle of an ONNX export of Kokoro-82M: float32, float16, int8, or QDQ; v1.0 or v0.19.

    Args:
        model_path: the export; weights in files beside it are found.
        output: the bundle; by default beside the export, with the suffix .gguf.
        progress: told what is going on.
        voices: style packs by name, [rows, 256], to carry in the bundle.
        model_version: "1.0" or "0.19"; by default what the file's metadata or name says, else "1.0".

    Returns:
        The bundle's path. It is written whole or not at all.

    Raises:
        ModelNotFoundError: if there is no such file.
        InvalidModelError: if it is not such an export; says what was looked for and not found.
        ValueError: for an unknown `model_version`, or an `output` that is the export itself.
        OSError: if the bundle can't be written.
    """
    path = Path(model_path)
    target = Path(output) if output is not None else path.with_suffix(".gguf")
    if path.exists() and target.exists() and path.samefile(target):
        raise ValueError(f"{target}: the bundle would replace the model it is made of; name another output")
    if output is not None and not target.absolute().parent.is_dir():
        raise FileNotFoundError(f"{target.parent}: there is no such folder to write the bundle to")
    sha256 = source_sha256(path, progress=_part(progress, 0.0, 0.2))
    return _prepare(path, target, sha256, progress=progress, voices=voices, model_version=model_version)


def prepare_cached(
    model_path: str | os.PathLike[str],
    cache_dir: str | os.PathLike[str],
    progress: Progress | None = None,
    *,
    model_version: str | None = None,
    sha256: str | None = None,
) -> Path:
    """The bundle of an export from a cache folder, made there if it is missing or damaged.

    Two processes may do this at once: each writes its own file and renames it into place. `sha256` saves reading the
    model when the caller has just checked it (the value of `source_sha256`). Without it the model is read once; while
    its files keep their size, time and inode, a stamp beside the bundle vouches for them.

    Raises: as `prepare`.
    """
    return open_cached(model_path, cache_dir, progress, model_version=model_version, sha256=sha256).path


def open_cached(
    model_path: str | os.PathLike[str],
    cache_dir: str | os.PathLike[str],
    progress: Progress | None = None,
    *,
    model_version: str | None = None,
    sha256: str | None = None,
) -> _core.Bundle:
    """`prepare_cached`, and the bundle open: it is checked once.

    Raises: as `prepare`.
    """
    from koe.prepare import stamps
    from koe.prepare.bundle import open_bundle

    path, folder = Path(model_path), Path(cache_dir)
    unstamped = None
    if sha256 is None:
        sha256 = stamps.recall(path, folder)
    if sha256 is None:
        unstamped = stamps.identities(_source_files(path))
        sha256 = source_sha256(path, progress=_part(progress, 0.0, 0.2))
    target = folder / bundle_name(sha256, model_version)
    try:
        bundle = open_bundle(target)
    except (ModelNotFoundError, InvalidModelError):
        folder.mkdir(parents=True, exist_ok=True)
        # Where it fails on Windows, another process was first, and has the bundle open.
        with suppress(PermissionError):
            _prepare(path, target, sha256, progress=progress, voices=None, model_version=model_version)
        bundle = open_bundle(target)
    if unstamped is not None:
        stamps.remember(path, folder, unstamped, sha256)
    return bundle


def bundle_name(sha256: str, model_version: str | None = None) -> str:
    """File name of a cached bundle: changes with the source, the revision and a version asked for."""
    version = f"-v{model_version}" if model_version else ""
    return f"kokoro-{sha256[:32]}{version}-r{REVISION}.gguf"


def source_sha256(path: str | os.PathLike[str], *, progress: Progress | None = None) -> str:
    """SHA-256 of an export, in hexadecimal; of the model file followed by its weight files where it has some.

    Raises:
        ModelNotFoundError: if there is no such file.
        InvalidModelError: if it is a folder or can't be read.
    """
    path = Path(path)
    files = _source_files(path)
    digest = hashlib.sha256()
    try:
        total = sum(file.stat().st_size for file in files) or 1
        done = 0
        for file in files:
            with file.open("rb") as stream:
                while block := stream.read(1 << 22):
                    digest.update(block)
                    done += len(block)
                    if progress is not None:
                        progress("reading the model", done / total)
    except OSError as error:
        raise InvalidModelError(f"{path}: can't be read: {error}") from error
    return digest.hexdigest()


def _source_files(path: Path) -> list[Path]:
    """The model's file, and its weight files where it has some."""
    if not path.exists():
        raise ModelNotFoundError(f"{path}: there is no such file")
    if path.is_file() and path.stat().st_size <= _MAX_SKELETON_BYTES:
        return [path, *_external_files(path)]
    return [path]


def _external_files(path: Path) -> list[Path]:
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data

    try:
        model = _load(path, external=False)
    except InvalidModelError:
        return []  # said later, with the reason, when the model itself is read
    locations = {ExternalDataInfo(tensor).location for tensor in model.graph.initializer if uses_external_data(tensor)}
    return [path.parent / location for location in sorted(locations)]


def _prepare(
    path: Path,
    target: Path,
    sha256: str,
    *,
    progress: Progress | None,
    voices: Mapping[str, npt.NDArray[Any]] | None,
    model_version: str | None,
) -> Path:
    from koe.prepare import vocabulary
    from koe.prepare.bundle import write_bundle
    from koe.prepare.cut import cut_acoustic_model
    from koe.prepare.graph import Graph
    from koe.prepare.optimize import LEVEL, optimized
    from koe.prepare.weights import WeightFinder

    report = progress or (lambda _what, _share: None)
    version = vocabulary.model_version(model_version) if model_version is not None else None
    report("parsing the model", 0.2)
    model = _load(path)
    if version is None:
        version = vocabulary.model_version(_stated_version(model, path))
    try:
        graph = Graph(model)
        finder = WeightFinder(graph)
        report("cutting the graph", 0.4)
        acoustic_model = optimized(cut_acoustic_model(graph, finder).SerializeToString())
        report("collecting the vocoder's weights", 0.5)
        weights = list(finder.weights())
    except InvalidModelError as error:
        raise InvalidModelError(f"{path}: {error}") from error
    precision = _precision(weights, model)
    del model, graph, finder  # as large as the file; the weights are copies
    report("writing the bundle", 0.7)
    write_bundle(
        target,
        acoustic_model=acoustic_model,
        graph_optimization=LEVEL,
        weights=weights,
        version=version,
        source_sha256=sha256,
        source_precision=precision,
        voices=voices,
    )
    report("done", 1.0)
    return target


def _load(path: Path, *, external: bool = True) -> ModelProto:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        with path.open("rb") as file:
            start = file.read(4)
        if start == b"GGUF":
            raise InvalidModelError(f"{path}: not an ONNX model but a bundle or another GGUF file") from error
        # Field 1 of ModelProto, the IR version, comes first in every exporter's file.
        why = "damaged or cut short" if start[:1] == b"\x08" else "not an ONNX model"
        raise InvalidModelError(f"{path}: {why}: {error}") from error
    except OSError as error:
        raise InvalidModelError(f"{path}: can't be read: {error}") from error
    if not model.graph.node or not model.opset_import:
        raise InvalidModelError(f"{path}: not an ONNX model, or cut short: it has no graph or no operator set")
    if external:
        try:
            onnx.load_external_data_for_model(model, str(path.parent))
        except Exception as error:
            raise InvalidModelError(f"{path}: its weight files can't be read: {error}") from error
        if model.functions:
            from onnx import inliner

            model = inliner.inline_local_functions(model)
    return model


def _stated_version(model: ModelProto, path: Path) -> str:
    """The graphs of v1.0 and v0.19 are alike, so the file must say: by metadata or, as published, by its name."""
    from koe.prepare.vocabulary import MODEL_VERSIONS

    stated = {entry.key: entry.value for entry in model.metadata_props}.get("koe.model_version")
    if stated is not None:
        version = str(stated).removeprefix("v")
        if version not in MODEL_VERSIONS:
            raise InvalidModelError(
                f"{path}: its metadata says Kokoro {stated!r}; koe knows {', '.join(MODEL_VERSIONS)}"
            )
        return version
    return "0.19" if re.search(r"v?0[._]19(?!\d)", path.name) else "1.0"


def _precision(weights: list[tuple[str, Constant]], model: ModelProto) -> str:
    from onnx import TensorProto

    if any(constant.scale is not None for _, constant in weights):
        return "int8"
    types = [tensor.data_type for tensor in model.graph.initializer if len(tensor.dims) > 1]
    return "float16" if types.count(TensorProto.FLOAT16) > len(types) / 2 else "float32"


def _part(progress: Progress | None, start: float, end: float) -> Progress | None:
    if progress is None:
        return None
    return lambda what, share: progress(what, start + (end - start) * share)
