# SPDX-License-Identifier: Apache-2.0
"""koe's C++ core on NumPy arrays."""

from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

__version__: str

class Error(RuntimeError):
    """A bad model, voice or device."""

# --- text: tokenizer, sentence splitter, chunker ---

# --- voice: style packs ---

# --- model: bundles ---

def xxh64(buffer: Buffer, seed: int = 0) -> int:
    """XXH64 of a contiguous buffer's bytes."""

class Bundle:
    """A prepared model, mapped read-only; checked when it is opened, with `Error` for what is not whole."""

    def __init__(self, path: str | PathLike[str]) -> None: ...
    @property
    def path(self) -> Path: ...
    @property
    def metadata(self) -> dict[str, bool | int | float | str | list[int] | list[float] | list[str]]: ...
    @property
    def vocabulary(self) -> dict[str, int]:
        """Character to token id."""
    @property
    def tensor_names(self) -> list[str]: ...
    def tensor(self, name: str) -> npt.NDArray[np.float32]:
        """The tensor as float32, integers dequantised."""
    def raw_tensor(self, name: str) -> npt.NDArray[np.generic]:
        """The tensor as stored: a read-only view into the file, which it keeps open."""
    @property
    def acoustic_model(self) -> npt.NDArray[np.uint8]:
        """The acoustic model's serialised ONNX graph: a read-only view into the file."""

# --- vocoder ---

# --- audio: stitching ---
