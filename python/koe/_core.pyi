# SPDX-License-Identifier: Apache-2.0
"""koe's C++ core on NumPy arrays."""

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

_FloatArray: TypeAlias = NDArray[np.float32]
_AnyArray: TypeAlias = NDArray[Any]

__version__: str

class Error(RuntimeError):
    """A bad model, voice or device."""

# --- text: tokenizer, sentence splitter, chunker ---

MAX_TOKENS: int

class Encoding:
    @property
    def ids(self) -> NDArray[np.int64]: ...
    @property
    def indices(self) -> NDArray[np.int64]: ...
    @property
    def dropped(self) -> list[tuple[str, int]]: ...
    def __len__(self) -> int: ...

class Tokenizer:
    def __init__(self, vocabulary: Mapping[str, int]) -> None: ...
    def encode(self, phonemes: str | bytes) -> Encoding: ...
    def count(self, phonemes: str | bytes) -> int: ...
    def decode(self, ids: Sequence[int] | NDArray[np.int64]) -> str: ...
    def __contains__(self, character: str) -> bool: ...
    def __len__(self) -> int: ...
    @property
    def vocabulary(self) -> dict[str, int]: ...

def chunk_phonemes(
    sentences: Iterable[str] | str,
    tokenizer: Tokenizer,
    max_tokens: int = 510,
    target_tokens: int = 250,
) -> list[list[tuple[int, int, int]]]: ...

# --- voice: style packs ---

STYLE_SIZE: int
"""Values in one style: 128 for the vocoder, then 128 for prosody."""

class StylePack:
    """A voice: one style for each length of text, float32 [n_rows, 256], every value finite; immutable."""

    @staticmethod
    def open(path: str | PathLike[str], member: str = "") -> StylePack:
        """Open a raw .bin, .npy or .npz voice file, told by its content; the values stay in the mapped file.

        Args:
            path: Raw float32 of [510, 256] or [511, 1, 256]; .npy of [rows, 256] or [rows, 1, 256]; .npz.
            member: The pack's name in an .npz (with or without ".npy"); may be empty where there is only one.

        Raises:
            Error: It can't be read, has another shape or type, is damaged, a pickle, or has NaN or infinity.
            ValueError: `member` is needed and empty, or given for a file without members.
        """

    @staticmethod
    def from_array(array: _AnyArray) -> StylePack:
        """Copy a [rows, 256] or [rows, 1, 256] array.

        Raises:
            ValueError: It has another shape.
            Error: It holds NaN or infinity.
        """

    @staticmethod
    def names(path: str | PathLike[str]) -> list[str]:
        """The packs in an .npz, in the file's order; empty for a file of one pack without a name."""

    @property
    def n_rows(self) -> int: ...
    @property
    def array(self) -> _FloatArray:
        """All values, [n_rows, 256], as a read-only view without a copy."""

    def row(self, index: int) -> _FloatArray:
        """One style, [256], as a read-only view without a copy.

        Raises:
            ValueError: There is no such row.
        """

def style_row(n_phonemes: int, n_tokens: int, rule: str = "phonemes_minus_one", n_rows: int = 510) -> int:
    """The row for a chunk, clamped to the pack's rows.

    Args:
        n_phonemes: Characters in the chunk's phonemes, those outside the vocabulary too.
        n_tokens: Tokens, without the pads.
        rule: "phonemes_minus_one" (v1.0) or "tokens" (v0.19).
        n_rows: Rows of the pack.
    """

def mix_styles(packs: Sequence[StylePack], weights: Sequence[float]) -> StylePack:
    """The weighted mean of packs with equally many rows; the weights are scaled to sum to 1.

    Raises:
        ValueError: No packs, counts that differ, a weight that is negative or not finite, or a sum of zero.
    """

@overload
def lerp_styles(a: StylePack, b: StylePack, t: float) -> StylePack: ...
@overload
def lerp_styles(a: _AnyArray, b: _AnyArray, t: float) -> _FloatArray:
    """(1 - t)·a + t·b, for two styles of one length or for packs row by row; 0 ≤ t ≤ 1.

    Raises:
        ValueError: The lengths differ, or t is outside.
    """

@overload
def slerp_styles(a: StylePack, b: StylePack, t: float) -> StylePack: ...
@overload
def slerp_styles(a: _AnyArray, b: _AnyArray, t: float) -> _FloatArray:
    """Spherical interpolation of the directions, with the length going linearly; lerp where nearly parallel.

    Raises:
        ValueError: The lengths differ, or t is outside 0 to 1.
    """

def parse_voice_spec(spec: str) -> list[tuple[str, float]]:
    """Voices and weights (sum 1) of "af", "sky", "af_bella:0.6,af_sarah:0.4" or "af_bella(2)+af_sky(1)".

    Raises:
        ValueError: It is malformed; the message names the character's position, counted from 1.
    """

def nearest_names(name: str, candidates: Sequence[str], n: int = 3) -> list[str]:
    """The at most `n` candidates most like `name`, the best first."""

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
    def tensor(self, name: str) -> NDArray[np.float32]:
        """The tensor as float32, integers dequantised."""
    def raw_tensor(self, name: str) -> NDArray[np.generic]:
        """The tensor as stored: a read-only view into the file, which it keeps open."""
    @property
    def acoustic_model(self) -> NDArray[np.uint8]:
        """The acoustic model's serialised ONNX graph: a read-only view into the file."""

# --- vocoder ---

# --- audio: stitching ---
