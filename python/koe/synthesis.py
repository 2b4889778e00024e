# SPDX-License-Identifier: Apache-2.0
"""The way from text to samples, chunk by chunk: G2P, chunker, acoustic model, vocoder, stitching."""

import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from koe import _core
from koe.audio import SAMPLE_RATE_HZ, AudioData, Word
from koe.errors import InvalidModelError
from koe.g2p import G2P, Phonemes, WordSpan
from koe.voice import Language

if TYPE_CHECKING:
    import numpy.typing as npt

    from koe.acoustic import AcousticFrames, AcousticModel

SAMPLES_PER_FRAME = 600
_VOCODER_STYLE = 128
# Sentences are chunked together until they have this many phonemes: chunks stay balanced, and memory doesn't grow with
# the text.
_GROUP_PHONEMES = 1500

_T = TypeVar("_T")


@dataclass(slots=True)
class StageClock:
    """Seconds spent in each stage of one synthesis; stages overlap, so the sum can exceed the time that passed."""

    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("g2p", "acoustic_model", "vocoder", "stitching"), 0.0)
    )

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the time of the block to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - start


@dataclass(frozen=True, slots=True)
class ChunkWord:
    """A word in a chunk: its place in the whole text, and in the chunk's phonemes."""

    text: str
    char_start: int
    char_end: int
    phoneme_start: int
    phoneme_end: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """What goes through the model at once.

    Attributes:
        phonemes: of the chunk.
        words: that begin in it.
        dropped: parts of the text without pronunciation.
    """

    phonemes: str
    words: list[ChunkWord]
    dropped: str


@dataclass(frozen=True, slots=True)
class _Sentence:
    start: int
    text: str
    phonemes: Phonemes


@dataclass(frozen=True, slots=True, eq=False)
class _Spoken:
    """A chunk behind the acoustic model."""

    chunk: Chunk
    encoding: _core.Encoding
    style: "npt.NDArray[np.float32]"
    frames: "AcousticFrames | None"


class Planner:
    """Text to chunks."""

    def __init__(self, g2p: G2P, tokenizer: _core.Tokenizer) -> None:
        self._g2p = g2p
        self._tokenizer = tokenizer

    def chunks(self, text: str, language: Language, clock: StageClock) -> Iterator[Chunk]:
        """The chunks of a text, made as they are asked for.

        Args:
            text: without lone surrogates.
        """
        group: list[_Sentence] = []
        silent = ""
        for start, end in _core.split_sentences(text):
            with clock.stage("g2p"):
                phonemes = self._g2p.phonemize(text[start:end], language)
            if silent:
                phonemes = replace(phonemes, dropped=silent + phonemes.dropped)
            if not phonemes.phonemes:
                # No chunk will hold this sentence; what it dropped goes to the next.
                silent = phonemes.dropped
                continue
            silent = ""
            group.append(_Sentence(start, text[start:end], phonemes))
            if sum(len(sentence.phonemes.phonemes) for sentence in group) >= _GROUP_PHONEMES:
                chunks = self._divide(group)
                # The last chunk takes part in the next group, so that no group ends with a stub.
                last = chunks.pop() if len(chunks) > 1 else []
                yield from (_join(group, pieces) for pieces in chunks)
                group = [_part(group[index], begin, end) for index, begin, end in last]
        yield from (_join(group, pieces) for pieces in self._divide(group))
        if silent:
            yield Chunk("", [], silent)

    def _divide(self, sentences: list[_Sentence]) -> list[list[tuple[int, int, int]]]:
        return _core.chunk_phonemes([sentence.phonemes.phonemes for sentence in sentences], self._tokenizer)


def _part(sentence: _Sentence, begin: int, end: int) -> _Sentence:
    """A stretch of a sentence's phonemes; what was dropped goes with its beginning."""
    words = tuple(
        WordSpan(w.text_start, w.text_end, w.phoneme_start - begin, min(w.phoneme_end, end) - begin)
        for w in sentence.phonemes.words
        if begin <= w.phoneme_start < end
    )
    dropped = sentence.phonemes.dropped if begin == 0 else ""
    return _Sentence(sentence.start, sentence.text, Phonemes(sentence.phonemes.phonemes[begin:end], words, dropped))


def _join(sentences: list[_Sentence], pieces: list[tuple[int, int, int]]) -> Chunk:
    phonemes = ""
    words: list[ChunkWord] = []
    dropped = ""
    for index, begin, end in pieces:
        sentence = _part(sentences[index], begin, end)
        part = sentence.phonemes.phonemes
        if phonemes and not phonemes.endswith(" ") and not part.startswith(" ") and begin == 0:
            phonemes += " "
        words += [
            ChunkWord(
                sentence.text[word.text_start : word.text_end],
                sentence.start + word.text_start,
                sentence.start + word.text_end,
                word.phoneme_start + len(phonemes),
                word.phoneme_end + len(phonemes),
            )
            for word in sentence.phonemes.words
        ]
        phonemes += part
        dropped += sentence.phonemes.dropped
    return Chunk(phonemes, words, dropped)


class Synthesizer:
    """Everything behind G2P for one model. Thread-safe."""

    def __init__(
        self,
        planner: Planner,
        tokenizer: _core.Tokenizer,
        acoustic_model: "AcousticModel",
        vocoder: _core.Vocoder,
        style_row: str,
        stitch_options: _core.StitchOptions,
    ) -> None:
        """
        Args:
            style_row: the bundle's rule for the style's row, "phonemes_minus_one" or "tokens".
        """
        self._planner = planner
        self._tokenizer = tokenizer
        self._acoustic_model = acoustic_model
        self.vocoder = vocoder
        self._style_row = style_row
        self._stitch_options = stitch_options

    def pieces(
        self,
        text: str,
        language: Language,
        pack: _core.StylePack,
        speed: float,
        *,
        clock: StageClock | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[AudioData]:
        """One piece of audio a chunk, with the pause before it; put together they are the whole.

        The acoustic model of the next chunk runs while the vocoder works on this one. Words' times count from the
        beginning of their piece.

        Args:
            text: without lone surrogates.
            clock: told the time of each stage.
            is_cancelled: asked before each chunk; True ends the pieces.
        """
        clock = clock or StageClock()
        stitcher = _core.Stitcher(self._stitch_options)
        with closing(_ahead(self._speak(text, language, pack, speed, clock))) as ahead:
            for spoken in ahead:
                if is_cancelled():
                    return
                yield self._finish(spoken, stitcher, clock)

    def _speak(
        self, text: str, language: Language, pack: _core.StylePack, speed: float, clock: StageClock
    ) -> Iterator[_Spoken]:
        for chunk in self._planner.chunks(text, language, clock):
            encoding = self._tokenizer.encode(chunk.phonemes)
            row = _core.style_row(len(chunk.phonemes), len(encoding), self._style_row, pack.n_rows)
            style = pack.row(row)
            frames = None
            if _has_sound(chunk.phonemes, encoding):
                with clock.stage("acoustic_model"):
                    frames = self._acoustic_model.run(encoding.ids, style, speed)
            yield _Spoken(chunk, encoding, style, frames)

    def _finish(self, spoken: _Spoken, stitcher: _core.Stitcher, clock: StageClock) -> AudioData:
        dropped = spoken.chunk.dropped + "".join(character for character, _ in spoken.encoding.dropped)
        if spoken.frames is None:
            return AudioData(np.zeros(0, np.float32), dropped=dropped)
        frames = spoken.frames
        try:
            with clock.stage("vocoder"):
                samples = self.vocoder.synthesize(frames.asr, frames.f0, frames.n, spoken.style[:_VOCODER_STYLE])
            with clock.stage("stitching"):
                before = stitcher.n_samples
                piece, placement = stitcher.push(samples)
        except (_core.Error, ValueError) as error:
            raise InvalidModelError(f"the vocoder failed: {error}") from error
        ends = np.concatenate([[0], np.cumsum(frames.durations)]) * SAMPLES_PER_FRAME
        spans: list[tuple[int, int]] = []
        spoken_words: list[ChunkWord] = []
        for word in spoken.chunk.words:
            first, last = np.searchsorted(spoken.encoding.indices, (word.phoneme_start, word.phoneme_end))
            if first < last:
                # Token k has duration k + 1, after the pad.
                start, end = (placement.position(int(ends[k + 1])) - before for k in (first, last))
                spans.append((start, end))
                spoken_words.append(word)
        words = [
            Word(word.text, start / SAMPLE_RATE_HZ, end / SAMPLE_RATE_HZ, word.char_start, word.char_end)
            for word, (start, end) in zip(spoken_words, share_time(spans), strict=True)
        ]
        return AudioData(piece, words=words, dropped=dropped)


def share_time(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Gives words that trimming left without time an equal share of the next word's, or at the end of the one's before.

    In fast speech the model starts later than its durations say, and then the first words would have none.
    """
    shared = list(spans)
    run: list[int] = []
    last: int | None = None
    for i, (start, end) in enumerate(spans):
        run.append(i)
        if start < end:
            _divide_time(shared, run, spans[run[0]][0], end)
            run, last = [], i
    if run and last is not None:
        _divide_time(shared, [last, *run], shared[last][0], shared[last][1])
    return shared


def _divide_time(spans: list[tuple[int, int]], words: list[int], start: int, end: int) -> None:
    if len(words) == 1:
        return
    for k, word in enumerate(words):
        first, last = (start + (end - start) * n // len(words) for n in (k, k + 1))
        spans[word] = (first, last)


def _has_sound(phonemes: str, encoding: _core.Encoding) -> bool:
    """Whether more than punctuation is left: of that alone the model makes noises."""
    return any(phonemes[i].isalpha() for i in encoding.indices.tolist())


def _ahead(iterator: Iterator[_T]) -> Generator[_T, None, None]:
    """The same items, each made in another thread while the one before is used."""
    with ThreadPoolExecutor(1, "koe-acoustic") as pool:
        future = pool.submit(next, iterator, None)
        while (item := future.result()) is not None:
            future = pool.submit(next, iterator, None)
            yield item


def concatenate(pieces: Iterator[AudioData]) -> AudioData:
    """One audio of all pieces, the words on its clock."""
    samples: list[npt.NDArray[np.float32]] = []
    words: list[Word] = []
    dropped: list[str] = []
    n_samples = 0
    for piece in pieces:
        offset = n_samples / SAMPLE_RATE_HZ
        words += [Word(w.text, w.start + offset, w.end + offset, w.char_start, w.char_end) for w in piece.words]
        samples.append(piece.samples)
        dropped.append(piece.dropped)
        n_samples += len(piece.samples)
    whole = np.concatenate(samples) if samples else np.zeros(0, np.float32)
    return AudioData(whole, words=words, dropped="".join(dropped))
