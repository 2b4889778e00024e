# SPDX-License-Identifier: Apache-2.0
"""How a live speech sounds, and its pieces on one clock."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from koe.audio import SAMPLE_RATE_HZ, AudioData
from koe.live.pieces import Boundary, Piece, TextStream
from koe.prosody import Directions
from koe.voice import Language

if TYPE_CHECKING:
    from koe import _core
    from koe.synthesis import Synthesizer

_log = logging.getLogger("koe")


@dataclass(frozen=True, slots=True, eq=False)
class LiveSpeech:
    """What all utterances of a stream or a speaker have in common.

    Attributes:
        synthesizer: makes the audio.
        language: of the text.
        pack: the voice.
        speed: for the acoustic model.
        directions: prosody by characters of the input.
        markdown: read the text as Markdown.
        strict: raise for tags out of range instead of logging them.
        silence_s: the pause after a sentence that ends a piece.
    """

    synthesizer: "Synthesizer"
    language: Language
    pack: "_core.StylePack"
    speed: float
    directions: Directions
    markdown: bool
    strict: bool
    silence_s: float

    def utterance(self) -> "Utterance":
        """A new utterance, its clock at 0."""
        return Utterance(self)


class Utterance:
    """One text that is spoken while it comes. Not for two threads at once."""

    def __init__(self, speech: LiveSpeech) -> None:
        """
        Args:
            speech: how it sounds.
        """
        self.text = TextStream(speech.markdown, speech.speed, speech.directions, speech.strict)
        self._speech = speech
        self._stitcher = speech.synthesizer.stitcher()
        self._boundary = Boundary.NONE
        self._n_samples = 0
        self._has_reported = False

    def speak(self, piece: Piece, is_cancelled: Callable[[], bool]) -> Iterator[AudioData]:
        """A piece's audio on the utterance's clock.

        Args:
            piece: the next one.
            is_cancelled: asked between the stages; True ends the audio.
        """
        self._report(piece)
        speech = self._speech
        audio = speech.synthesizer.piece(
            piece.text,
            speech.language,
            speech.pack,
            speech.speed,
            self._stitcher,
            self._boundary.value * speech.silence_s,
            directions=piece.directions,
            is_cancelled=is_cancelled,
        )
        for part in audio:
            if len(part.samples) or part.dropped:
                if part.words:
                    self._boundary = piece.boundary
                yield self._on_clock(part, piece)

    def _on_clock(self, audio: AudioData, piece: Piece) -> AudioData:
        start = self._n_samples / SAMPLE_RATE_HZ
        self._n_samples += len(audio.samples)
        words = []
        for word in audio.words:
            first, end = piece.origin(word.char_start, word.char_end)
            words.append(replace(word, start=word.start + start, end=word.end + start, char_start=first, char_end=end))
        return replace(audio, words=words, start=start)

    def _report(self, piece: Piece) -> None:
        if self.text.refused and not self._has_reported:
            self._has_reported = True
            tag, reason = self.text.refused[0]
            _log.warning("passed over the tag %s: %s", tag, reason)
        self.text.refused.clear()
