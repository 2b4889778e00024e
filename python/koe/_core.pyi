# SPDX-License-Identifier: Apache-2.0
"""koe's C++ core on NumPy arrays."""

from collections.abc import Callable, Iterable, Mapping, Sequence
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

class DeviceError(Error):
    """There is no such device, or it failed."""

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

def split_sentences(text: str | bytes) -> list[tuple[int, int]]: ...
def split_clauses(text: str | bytes, min_chars: int = 1) -> list[tuple[int, int]]: ...

class StreamSplitter:
    def __init__(
        self, *, first_clause_min_chars: int = 0, clause_min_chars: int = 0, max_chars: int = 2000
    ) -> None: ...
    def push(self, text: str | bytes) -> list[str]: ...
    def flush(self) -> list[str]: ...
    def reset(self) -> None: ...
    @property
    def pending(self) -> int: ...

def chunk_phonemes(
    sentences: Iterable[str] | str,
    tokenizer: Tokenizer,
    max_tokens: int = 510,
    target_tokens: int = 150,
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
    def release_pages(self) -> None:
        """Takes the file out of resident memory until it is read again, gives unused heap back; views stay valid."""

# --- vocoder ---

def available_isas() -> list[str]:
    """Names of the kernel tables that this machine can run, slowest first."""

def processor_features() -> list[str]:
    """What the processor and the operating system offer of the features koe uses."""

def metal_device() -> tuple[str | None, str]:
    """The Apple GPU's name or None, and why there is none."""

class Vocoder:
    """Kokoro's decoder: encoded phonemes, pitch and energy to 24 kHz samples.

    T is the number of frames, 40 a second. Calls from several threads are made one after the other, without the GIL.
    """

    def __init__(
        self,
        bundle: Bundle,
        threads: int = 0,
        isa: str = "",
        precision: str = "auto",
        noise_seed: int | None = None,
        device: str = "cpu",
    ) -> None:
        """Packs the bundle's weights.

        Args:
            threads: 0 for as many as the process may use processors.
            isa: a kernel table; "" for what KOE_ISA names, or else the fastest.
            precision: "auto", "float32", "float16", "bfloat16" or "int8".
            noise_seed: seed of the source's noise; None for no noise.
            device: "cpu" or "metal", which has float16 and float32.

        Raises:
            Error: a tensor is missing or has the wrong shape, or the machine lacks the kernels.
            DeviceError: there is no such device, or it lacks the precision.
            ValueError: no precision or device has this name.
        """

    @property
    def asr_channels(self) -> int: ...
    @property
    def style_size(self) -> int: ...
    @property
    def threads(self) -> int: ...
    @property
    def isa(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def precision(self) -> str: ...
    def synthesize(
        self, asr: NDArray[Any], f0: NDArray[Any], n: NDArray[Any], style: NDArray[Any]
    ) -> NDArray[np.float32]:
        """asr [512, T], f0 [2T] in Hz, n [2T], style [128] to samples [600 T].

        Raises:
            ValueError: the lengths don't fit, or a value is not finite.
        """

    def decode(self, asr: NDArray[Any], f0: NDArray[Any], n: NDArray[Any], style: NDArray[Any]) -> NDArray[np.float32]:
        """The decoder blocks: features [512, 2T]."""

    def source(self, f0: NDArray[Any]) -> NDArray[np.float32]:
        """f0 [2T] to the harmonic source's signal [600 T]."""

    def source_spectrum(self, signal: NDArray[Any]) -> NDArray[np.float32]:
        """The source's signal [600 T] to magnitudes and phases [22, 120 T + 1]."""

    def generator_level(
        self, level: int, x: NDArray[Any], har: NDArray[Any], style: NDArray[Any]
    ) -> NDArray[np.float32]:
        """One upsampling level: [512, 2T] to [256, 20 T], or [256, 20 T] to [128, 120 T + 1]."""

    def spectrum(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """x [128, 120 T + 1] to magnitudes (rows 0-10) and phases (rows 11-21)."""

    def istft(self, spectrum: NDArray[Any]) -> NDArray[np.float32]:
        """Magnitudes and phases [22, 120 T + 1] to samples [600 T]."""

# --- audio: stitching ---

def apply_phoneme_rules(phonemes: str | bytes, language: str, rules: str = "1.0") -> str:
    """Kokoro's phonemes for espeak-ng's; all else stays.

    Args:
        phonemes: IPA with "^" as the tie.
        language: espeak-ng's code, such as "en-us".
        rules: "1.0" or "0.19".

    Raises:
        ValueError: there are no such rules.
    """

def map_phonemes(espeak: str | bytes, language: str, rules: str = "1.0") -> str:
    """The same for a phrase just as espeak-ng gives it.

    Names of languages in brackets go, and so does any space but one between words.

    Args:
        espeak: IPA with U+0361 or "^" as the tie.
        language: espeak-ng's code, such as "en-us".
        rules: "1.0" or "0.19".

    Raises:
        ValueError: there are no such rules.
    """

def phonemize(
    text: str | bytes, language: str, phrase: Callable[[str], str], word: Callable[[str], str]
) -> tuple[str, list[tuple[int, int, int, int]], str]:
    """Everything of G2P but the pronunciation of words: marks, inline pronunciations, alignment.

    Args:
        text: a sentence or a few.
        language: espeak-ng's code, such as "en-us".
        phrase: gives a phrase's phonemes, as `map_phonemes` does.
        word: the same for a word by itself; it may be called often for the same one.

    Returns:
        The phonemes; for each word that is spoken its begin and end in the text and in the phonemes, in characters;
        and what was left out.
    """

class Espeak:
    """G2P through an espeak-ng library that is loaded at run time. Thread-safe."""

    def __init__(
        self,
        library: str | PathLike[str] | None = None,
        data: str | PathLike[str] | None = None,
        rules: str = "1.0",
    ) -> None:
        """
        Args:
            library: espeak-ng's shared library; None takes `KOE_ESPEAK`, then the usual names.
            data: its folder espeak-ng-data; None takes `KOE_ESPEAK_DATA`, then the one beside the library.
            rules: the phoneme rules of the model, "1.0" or "0.19".

        Raises:
            Error: there is no such library, or it can't be started.
            ValueError: there are no such rules.
        """

    def phonemize(self, text: str | bytes, language: str = "en-us") -> tuple[str, list[tuple[int, int, int, int]], str]:
        """The phonemes of a sentence or a few, as the function `phonemize` returns them.

        Raises:
            Error: espeak-ng failed, or koe doesn't know the language.
        """

class AcousticModel:
    """The bundle's acoustic model in an ONNX Runtime library that is loaded at run time. Thread-safe.

    It is for programs without the Python package onnxruntime.
    """

    def __init__(self, bundle: Bundle, threads: int = 0, library: str | PathLike[str] | None = None) -> None:
        """
        Args:
            bundle: the prepared model; not needed afterwards.
            threads: of one run; 0 for what ONNX Runtime thinks best.
            library: ONNX Runtime's shared library, 1.11 or newer; None takes `KOE_ONNXRUNTIME`, then the usual names.

        Raises:
            Error: there is no such library, it is too old, or it refuses the model.
        """

    def run(
        self, ids: _AnyArray, style: _AnyArray, speed: float = 1.0
    ) -> tuple[_FloatArray, _FloatArray, _FloatArray, NDArray[np.int64]]:
        """Runs one chunk.

        Args:
            ids: token ids without the pads, [L], 1 to MAX_TOKENS.
            style: [256], of which the second half counts here.
            speed: durations are divided by it.

        Returns:
            asr [512, T], f0 [2T] in Hz, n [2T], and the frames of each token and pad, [L + 2].

        Raises:
            Error: the runtime failed, or gave values that are not finite.
            ValueError: the inputs don't fit.
        """

class StitchOptions:
    """How chunks become one piece of speech.

    Args:
        sample_rate_hz: 1 to 768 000.
        silence_s: Between chunks, rounded to a sample; 0 to 3 600.
        fade_s: Raised-cosine fade at both ends of each chunk; 0 to 1.
        trim: Cut what lies outside `find_speech`.
        threshold_db: Speech is above this level relative to the chunk's loudest 5 ms; -200 to 0.
        floor_db: And above this one relative to full scale; -200 to 0.
        margin_s: Kept on each side of the speech; 0 to 10.

    Raises:
        ValueError: A value is out of its range.
    """

    def __init__(
        self,
        *,
        sample_rate_hz: float = 24000.0,
        silence_s: float = 0.4,
        fade_s: float = 0.008,
        trim: bool = True,
        threshold_db: float = -50.0,
        floor_db: float = -70.0,
        margin_s: float = 0.04,
    ) -> None: ...
    @property
    def sample_rate_hz(self) -> float: ...
    @property
    def silence_s(self) -> float: ...
    @property
    def fade_s(self) -> float: ...
    @property
    def trim(self) -> bool: ...
    @property
    def threshold_db(self) -> float: ...
    @property
    def floor_db(self) -> float: ...
    @property
    def margin_s(self) -> float: ...

class Placement:
    """Where a chunk came to lie in the output, in samples."""

    @property
    def offset(self) -> int:
        """The chunk's first kept sample in the output."""

    @property
    def n_samples(self) -> int:
        """Samples kept."""

    @property
    def trimmed_start(self) -> int:
        """Samples cut from the chunk's start."""

    @property
    def trimmed_end(self) -> int:
        """Samples cut from the chunk's end."""

    def position(self, sample: int) -> int:
        """The place in the output of a sample of the untrimmed chunk; one that was cut gives the nearest left."""

    def __eq__(self, other: object) -> bool: ...

def find_speech(samples: _AnyArray, options: StitchOptions = ...) -> tuple[int, int]:
    """First sample and end of the part that holds speech, margins included; (0, 0) for silence throughout.

    Raises:
        Error: The samples hold NaN or infinity.
    """

class Stitcher:
    """Joins chunks as they come: trims, fades, and puts silence between. For one thread at a time."""

    def __init__(self, options: StitchOptions = ...) -> None: ...
    def push(self, chunk: _AnyArray, pause_before_s: float | None = None) -> tuple[_FloatArray, Placement]:
        """Add a chunk; a silent one gives no samples, and a pause asked for with it goes before the next.

        Args:
            chunk: Samples, [n] float32.
            pause_before_s: In place of `silence_s`, and even before the first chunk; 0 to 3 600.

        Returns:
            The samples to play now, pause and chunk; and where the chunk lies.

        Raises:
            Error: The chunk holds NaN or infinity; the stitcher is then as before.
            ValueError: The pause is out of range.
        """

    def finish(self) -> _FloatArray:
        """End the speech: a pause that is still kept, if any; the stitcher is then as new."""

    @property
    def n_samples(self) -> int:
        """Samples given out since the beginning or the last `finish`."""

    @property
    def options(self) -> StitchOptions: ...

def stitch(
    chunks: Sequence[_AnyArray],
    options: StitchOptions = ...,
    pauses_before_s: Sequence[float | None] | None = None,
) -> tuple[_FloatArray, list[Placement]]:
    """All chunks through one `Stitcher`.

    Raises:
        Error: A chunk holds NaN or infinity.
        ValueError: The counts of chunks and pauses differ, or a pause is out of range.
    """

def encode_wav(samples: _AnyArray, sample_rate_hz: int = 24000, format: str = "pcm16") -> bytes:
    """A mono WAV file in memory, "pcm16" (clipped above 1) or "float32".

    Raises:
        Error: The samples hold NaN or infinity.
        ValueError: An unknown format, a sample rate of 0, or more than 4 GiB.
    """

def write_wav(
    path: str | PathLike[str], samples: _AnyArray, sample_rate_hz: int = 24000, format: str = "pcm16"
) -> None:
    """Write that file; a failure leaves nothing half-written.

    Raises:
        Error: As `encode_wav`, or it can't be written.
        ValueError: As `encode_wav`.
    """
