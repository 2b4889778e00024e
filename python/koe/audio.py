# SPDX-License-Identifier: Apache-2.0
"""Speech as samples, with its words, and the files it can be saved to."""

import contextlib
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from koe.errors import InvalidRequestError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SAMPLE_RATE_HZ = 24_000


@dataclass(frozen=True, slots=True)
class Word:
    """A word as spoken.

    Attributes:
        text: the word as it stands in the input.
        start: when it begins, seconds from the beginning of the audio.
        end: when it ends.
        char_start: where it begins in the input, in characters.
        char_end: where it ends.
        display: the word with the punctuation beside it, as a subtitle shows it.
    """

    text: str
    start: float
    end: float
    char_start: int
    char_end: int
    display: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class AudioData:
    """Speech.

    Attributes:
        samples: float32 [n_samples], nominally from -1 to 1; without any for a text that has nothing to speak.
        sample_rate: samples a second.
        words: the words in order; their times don't overlap.
        dropped: what was left out, parts of the text without a pronunciation and phonemes unknown to the model.
        start: the time of the first sample on the clock that the words' times count on; 0 but for pieces of a stream.
    """

    samples: "npt.NDArray[np.float32]"
    sample_rate: int = SAMPLE_RATE_HZ
    words: list[Word] = field(default_factory=list)
    dropped: str = ""
    start: float = 0.0

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / self.sample_rate

    def save(self, path: str | os.PathLike[str], format: str | None = None) -> None:
        """Writes a WAV, FLAC, MP3, OGG (Vorbis) or Opus file; the file appears whole or not at all.

        Args:
            path: the file; an older one of that name is replaced.
            format: "wav", "flac", "mp3", "ogg" or "opus"; by default the path's extension says.

        Raises:
            InvalidRequestError: there is no such format, or the extension names none.
            OSError: the file can't be written.
        """
        target = Path(path)
        container, subtype = _FORMATS[_format_of(target, format)]
        if not target.parent.is_dir():
            raise FileNotFoundError(f"cannot write {target}: the folder {target.parent} does not exist")
        # Beside the target, so that the rename never crosses file systems.
        partial = target.with_name(f".{target.name}.{secrets.token_hex(8)}.partial")
        try:
            self._write(partial, container, subtype)
            os.replace(partial, target)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise

    def save_subtitles(self, path: str | os.PathLike[str]) -> None:
        """Writes the words as subtitles: cues end at phrases, with at most 2 lines of 42 characters, for at most 7 s.

        Args:
            path: ends in .srt or .vtt; an older file of that name is replaced.

        Raises:
            InvalidRequestError: the extension names no format of subtitles.
            OSError: the file can't be written.
        """
        from koe.subtitles import save_subtitles

        save_subtitles(self.words, path)

    @staticmethod
    def check_format(path: str | os.PathLike[str], format: str | None = None) -> None:
        """Raises what `save` would for a format that koe doesn't write."""
        _format_of(Path(path), format)

    def _write(self, path: Path, container: str, subtype: str) -> None:
        import numpy as np
        import soundfile

        samples = self.samples
        if len(samples) == 0 and container != "WAV":
            # libsndfile writes no header before the first sample, and so would leave a file that nothing can open.
            samples = np.zeros(1, np.float32)
        try:
            with soundfile.SoundFile(
                path, "w", samplerate=self.sample_rate, channels=1, format=container, subtype=subtype
            ) as file:
                # libsndfile's Vorbis encoder puts a whole write on its stack.
                for start in range(0, len(samples), self.sample_rate):
                    file.write(samples[start : start + self.sample_rate])
        except soundfile.LibsndfileError as error:
            raise OSError(f"cannot write {path.parent}: {error}") from error


_FORMATS: dict[str, tuple[str, str]] = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
}


def container_of(path: Path, name: str | None = None) -> tuple[str, str]:
    """libsndfile's container and encoding for a path's extension, or a format's name.

    Raises:
        InvalidRequestError: there is no such format.
    """
    return _FORMATS[_format_of(path, name)]


def _format_of(path: Path, name: str | None) -> str:
    chosen = (path.suffix.removeprefix(".") if name is None else name).lower()
    if chosen in _FORMATS:
        return chosen
    what = f"the extension of {path.name!r} names no audio format" if name is None else f"unknown audio format {name!r}"
    raise InvalidRequestError(f"{what}; koe writes {', '.join(_FORMATS)}")
