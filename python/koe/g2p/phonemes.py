# SPDX-License-Identifier: Apache-2.0
"""What a G2P takes and gives."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from koe.voice import Language


@dataclass(frozen=True, slots=True)
class WordSpan:
    """Where a word is in the text and in the phonemes; half-open spans, counted in characters."""

    text_start: int
    text_end: int
    phoneme_start: int
    phoneme_end: int


@dataclass(frozen=True, slots=True)
class Phonemes:
    """A text's phonemes.

    Attributes:
        phonemes: characters of Kokoro's vocabulary, punctuation and single spaces included.
        words: the words that are spoken, in order; neither kind of span overlaps the next.
        dropped: the parts of the text that have no pronunciation, in order.
    """

    phonemes: str
    words: tuple[WordSpan, ...] = ()
    dropped: str = ""


@runtime_checkable
class G2P(Protocol):
    """Turns text into phonemes; koe calls it from several threads at once."""

    def phonemize(self, text: str, language: Language) -> Phonemes:
        """The phonemes of `text`, a sentence or a few.

        Raises:
            G2PError: the language is not one that this G2P speaks, or it failed.
        """
        ...
