# SPDX-License-Identifier: Apache-2.0
"""Writes and opens bundles: GGUF with the acoustic sub-graph, the vocoder's weights, vocabulary and metadata."""

from __future__ import annotations

import glob
import os
import secrets
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from koe import _core
from koe.errors import InvalidModelError, ModelNotFoundError

if TYPE_CHECKING:
    # Opening a bundle, which every start does, needs neither NumPy nor onnx nor the vocabularies.
    import numpy.typing as npt

    from koe.prepare.graph import Constant
    from koe.prepare.vocabulary import ModelVersion

FORMAT = 1
TRAILER_MAGIC = b"koe-xxh\0"
_STALE_S = 3600.0
ALIGNMENT = 64  # a cache line, and the load of one AVX-512 register


def open_bundle(path: str | os.PathLike[str]) -> _core.Bundle:
    """Opens and checks a bundle.

    Raises:
        ModelNotFoundError: if there is no such file.
        InvalidModelError: if it is not a bundle, cut short, damaged, or of a newer format.
    """
    if not Path(path).exists():
        raise ModelNotFoundError(f"{os.fspath(path)}: there is no such file")
    try:
        return _core.Bundle(path)
    except _core.Error as error:
        raise InvalidModelError(str(error)) from error


def write_bundle(
    output: Path,
    *,
    acoustic_model: bytes,
    graph_optimization: str | None = None,
    weights: Iterable[tuple[str, Constant]],
    version: ModelVersion,
    source_sha256: str,
    source_precision: str,
    voices: Mapping[str, npt.NDArray[Any]] | None = None,
) -> None:
    """Writes a bundle; `output` appears whole or not at all, and an older file of that name stays until then.

    Args:
        graph_optimization: what ONNX Runtime's optimisation has done to the acoustic model, which then is loaded as it
            stands.
    """
    import gguf
    import numpy as np

    _sweep(output)
    # Beside the target, so that the rename never crosses file systems.
    partial = output.with_name(f".{output.name}.{secrets.token_hex(8)}.partial")
    try:
        writer = gguf.GGUFWriter(partial, "kokoro")
        try:
            writer.add_custom_alignment(ALIGNMENT)
            writer.add_name(f"Kokoro-82M v{version.name}")
            writer.add_uint32("koe.format", FORMAT)
            writer.add_string("koe.model_version", version.name)
            writer.add_string("koe.source_sha256", source_sha256)
            writer.add_string("koe.source_precision", source_precision)
            writer.add_string("koe.phoneme_rules", version.phoneme_rules)
            writer.add_string("koe.style_row", version.style_row)
            if graph_optimization is not None:
                writer.add_string("koe.graph_optimization", graph_optimization)
            writer.add_array("koe.vocabulary.characters", list(version.vocabulary))
            writer.add_array("koe.vocabulary.ids", list(version.vocabulary.values()))
            writer.add_tensor("acoustic.onnx", np.frombuffer(acoustic_model, np.int8))
            for name, constant in weights:
                for key, values in _stored(name, constant):
                    writer.add_tensor(key, np.ascontiguousarray(values))
            for name, style in (voices or {}).items():
                writer.add_tensor(f"voice.{name}", np.ascontiguousarray(style, np.float32))
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
        finally:
            writer.close()
        _seal(partial)
        os.replace(partial, output)
    finally:
        partial.unlink(missing_ok=True)
    _sync_folder(output.parent)


def _sweep(output: Path) -> None:
    """Removes what a killed process left of the same bundle; one still at work is younger than this."""
    for partial in output.parent.glob(f".{glob.escape(output.name)}.*.partial"):
        try:
            if time.time() - partial.stat().st_mtime > _STALE_S:
                partial.unlink()
        except OSError:  # another process sweeps, too
            continue


def _stored(name: str, constant: Constant) -> Iterable[tuple[str, npt.NDArray[Any]]]:
    """A parameter's tensors: float32, or int8 with scale and zero point along the first axis."""
    import numpy as np

    scale, zero = constant.scale, constant.zero_point
    n_parameters = max(1 if scale is None else scale.size, 1 if zero is None else zero.size)
    if scale is None or (n_parameters > 1 and constant.axis != 0):
        return [(name, constant.dequantized())]
    shift = 128 if constant.values.dtype == np.uint8 else 0
    zeros = (
        np.full(1, 0 if zero is None else zero, np.int16) if zero is None or zero.size == 1 else zero.astype(np.int16)
    )
    tensors: list[tuple[str, npt.NDArray[Any]]] = [
        (name, (constant.values.astype(np.int16) - shift).astype(np.int8)),
        (f"{name}.scale", scale),
    ]
    if np.any(zeros != shift):
        tensors.append((f"{name}.zero_point", (zeros - shift).astype(np.int8)))
    return tensors


def _seal(path: Path) -> None:
    """Appends the checksum and makes sure that the bytes are on the disk before the name is."""
    import mmap

    with path.open("r+b") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            checksum = _core.xxh64(content)
        file.seek(0, os.SEEK_END)
        file.write(TRAILER_MAGIC + checksum.to_bytes(8, "little"))
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # folders can't be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
