# SPDX-License-Identifier: Apache-2.0
"""The way from text to samples, chunk by chunk: G2P, chunker, acoustic model, vocoder, stitching."""

import re
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from koe import _core
from koe.audio import SAMPLE_RATE_HZ, AudioData, Word
from koe.errors import InvalidModelError, MetalUnavailableError
from koe.g2p import G2P, Phonemes, WordSpan
from koe.prosody import MAX_PAUSE_S, Directions, Pause, Prosody, direct
from koe.voice import Language

if TYPE_CHECKING:
    import numpy.typing as npt

    from koe.acoustic import AcousticFrames, AcousticModel

SAMPLES_PER_FRAME = 600
_VOCODER_STYLE = 128
# Sentences are chunked together until they have this many phonemes: chunks stay balanced, and memory doesn't grow with
# the text.
_GROUP_PHONEMES = 1500

# An inserted pause begins and ends with a fade, at the quietest place this near to the words' border.
_PAUSE_FADE = SAMPLE_RATE_HZ // 200
_PAUSE_SEARCH = SAMPLE_RATE_HZ // 25

_INLINE_END = re.compile(r"\]\(/[^/\n]*/\)")

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
    display: str = ""


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
    displays: dict[int, str]  # by the word's beginning


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
            group.append(_Sentence(start, text[start:end], phonemes, displays(text[start:end], phonemes.words)))
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
    phonemes = Phonemes(sentence.phonemes.phonemes[begin:end], words, dropped)
    return replace(sentence, phonemes=phonemes)


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
                sentence.displays[word.text_start],
            )
            for word in sentence.phonemes.words
        ]
        phonemes += part
        dropped += sentence.phonemes.dropped
    return Chunk(phonemes, words, dropped)


def displays(text: str, words: tuple[WordSpan, ...]) -> dict[int, str]:
    """Each word with what stands beside it, by the word's beginning; together they show all of the text."""
    shown: dict[int, str] = {}
    before = ""
    for i in range(len(words) + 1):
        start = words[i].text_start if i < len(words) else len(text)
        gap = text[words[i - 1].text_end if i else 0 : start]
        is_inline = i < len(words) and _INLINE_END.match(text, words[i].text_end) is not None
        gap = _INLINE_END.sub("", gap).removesuffix("[" if is_inline else "")
        parts = re.split(r"\s+", gap)
        before = parts.pop() if len(parts) > 1 or not i else ""
        if i:
            shown[words[i - 1].text_start] += " ".join(part for part in parts if part or part is parts[0])
        elif parts and any(parts):
            before = " ".join([*filter(None, parts), before])
        if i < len(words):
            shown[start] = before + text[start : words[i].text_end]
        elif i:
            shown[words[i - 1].text_start] += f" {before}" if before else ""
    return shown


class _Pauses:
    """The pauses of a text, handed to its chunks in order."""

    def __init__(self, pauses: tuple[Pause, ...]) -> None:
        self._pauses = list(pauses)

    def take(self, words: list[ChunkWord]) -> dict[int, float]:
        """The pauses of a chunk, by the number of its words before them; those after its last word are left."""
        found: dict[int, float] = {}
        while self._pauses and words and self._pauses[0].position <= words[-1].char_start:
            pause = self._pauses.pop(0)
            before = sum(word.char_start < pause.position for word in words)
            found[before] = min(MAX_PAUSE_S, found.get(before, 0.0) + pause.seconds)
        return found

    def rest(self) -> float:
        """Seconds after the last word."""
        return min(MAX_PAUSE_S, sum(pause.seconds for pause in self._pauses))


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
        directions: Directions | None = None,
        clock: StageClock | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[AudioData]:
        """One piece of audio a chunk, with the pause before it; put together they are the whole.

        The acoustic model of the next chunk runs while the vocoder works on this one. Words' times count from the
        beginning of their piece.

        Args:
            text: without lone surrogates.
            directions: prosody by characters of `text`.
            clock: told the time of each stage.
            is_cancelled: asked before each chunk; True ends the pieces.
        """
        clock = clock or StageClock()
        directions = directions or Directions()
        pauses = _Pauses(directions.pauses)
        stitcher = self.stitcher()
        with closing(_ahead(self._speak(text, language, pack, speed, directions, clock))) as ahead:
            for spoken in ahead:
                if is_cancelled():
                    return
                yield self._finish(spoken, stitcher, clock, pauses)
        if pauses.rest():
            yield silence(pauses.rest())

    def stitcher(self) -> _core.Stitcher:
        """For a speech whose pieces come one by one."""
        return _core.Stitcher(self._stitch_options)

    def piece(
        self,
        text: str,
        language: Language,
        pack: _core.StylePack,
        speed: float,
        stitcher: _core.Stitcher,
        pause_s: float,
        *,
        directions: Directions | None = None,
        clock: StageClock | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[AudioData]:
        """One piece of a speech that comes bit by bit; all in this thread, so that it begins at once.

        Args:
            text: without lone surrogates.
            stitcher: of the speech.
            pause_s: silence before the piece.
            directions: prosody by characters of `text`.
            clock: told the time of each stage.
            is_cancelled: asked between the stages; True ends the piece.
        """
        clock = clock or StageClock()
        directions = directions or Directions()
        pauses = _Pauses(directions.pauses)
        pause: float | None = pause_s
        for spoken in self._speak(text, language, pack, speed, directions, clock):
            if is_cancelled():
                return
            audio = self._finish(spoken, stitcher, clock, pauses, pause)
            if len(audio.samples):
                pause = None
            yield audio
        if pauses.rest():
            yield silence(pauses.rest())

    def _speak(
        self,
        text: str,
        language: Language,
        pack: _core.StylePack,
        speed: float,
        directions: Directions,
        clock: StageClock,
    ) -> Iterator[_Spoken]:
        for chunk in self._planner.chunks(text, language, clock):
            encoding = self._tokenizer.encode(chunk.phonemes)
            row = _core.style_row(len(chunk.phonemes), len(encoding), self._style_row, pack.n_rows)
            style = pack.row(row)
            frames = None
            if _has_sound(chunk.phonemes, encoding):
                with clock.stage("acoustic_model"):
                    frames = self._acoustic_model.run(encoding.ids, style, speed)
                    frames = direct(frames, _token_prosodies(chunk, encoding, directions))
            yield _Spoken(chunk, encoding, style, frames)

    def _finish(
        self,
        spoken: _Spoken,
        stitcher: _core.Stitcher,
        clock: StageClock,
        pauses: _Pauses,
        pause_s: float | None = None,
    ) -> AudioData:
        dropped = spoken.chunk.dropped + "".join(character for character, _ in spoken.encoding.dropped)
        if spoken.frames is None:
            return AudioData(np.zeros(0, np.float32), dropped=dropped)
        frames = spoken.frames
        inserted = pauses.take(spoken.chunk.words)
        if inserted.get(0):
            usual_s = self._stitch_options.silence_s if stitcher.n_samples else 0.0
            pause_s = inserted.pop(0) + (usual_s if pause_s is None else pause_s)
        try:
            with clock.stage("vocoder"):
                samples = self.vocoder.synthesize(frames.asr, frames.f0, frames.n, spoken.style[:_VOCODER_STYLE])
            with clock.stage("stitching"):
                before = stitcher.n_samples
                piece, placement = stitcher.push(samples, pause_s)
        except _core.DeviceError as error:
            raise MetalUnavailableError(f"the GPU failed: {error}") from error
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
        spans = share_time(spans)
        for n_before, seconds in sorted(inserted.items(), reverse=True):
            after = sum(word.char_start >= spoken.chunk.words[n_before].char_start for word in spoken_words)
            piece, spans = insert_silence(piece, spans, len(spans) - after, round(seconds * SAMPLE_RATE_HZ))
        words = [
            Word(word.text, start / SAMPLE_RATE_HZ, end / SAMPLE_RATE_HZ, word.char_start, word.char_end, word.display)
            for word, (start, end) in zip(spoken_words, spans, strict=True)
        ]
        return AudioData(piece, words=words, dropped=dropped)


def silence(seconds: float) -> AudioData:
    """Audio without sound."""
    return AudioData(np.zeros(round(seconds * SAMPLE_RATE_HZ), np.float32))


def _token_prosodies(chunk: Chunk, encoding: _core.Encoding, directions: Directions) -> list[Prosody]:
    """The prosody of each token and of the pads; what stands between words goes with the word before."""
    by_phoneme = [directions.base] * (len(chunk.phonemes) + 1)
    words = chunk.words
    if directions.spans:
        for i, word in enumerate(words):
            start = word.phoneme_start if i else 0
            end = words[i + 1].phoneme_start if i + 1 < len(words) else len(by_phoneme)
            by_phoneme[start:end] = [directions.between(word.char_start, word.char_end)] * (end - start)
    return [by_phoneme[0], *(by_phoneme[i] for i in encoding.indices.tolist()), by_phoneme[-1]]


def insert_silence(
    samples: "npt.NDArray[np.float32]", spans: list[tuple[int, int]], index: int, n_samples: int
) -> "tuple[npt.NDArray[np.float32], list[tuple[int, int]]]":
    """Puts silence between the words index - 1 and index, where it is quietest, with fades around it.

    Returns:
        The samples, and the words' spans in them.
    """
    if not 0 < index < len(spans):
        return samples, spans
    left, right = spans[index - 1][1], spans[index][0]
    low = max(spans[index - 1][0] + 1, left - _PAUSE_SEARCH)
    high = min(spans[index][1] - 1, max(right, left + _PAUSE_SEARCH))
    power = np.convolve(np.square(samples[low:high], dtype=np.float64), np.ones(2 * _PAUSE_FADE), mode="same")
    place = low + int(power.argmin()) if len(power) else left
    before, after = samples[:place].copy(), samples[place:].copy()
    fade = (0.5 - 0.5 * np.cos(np.pi * (np.arange(_PAUSE_FADE) + 0.5) / _PAUSE_FADE)).astype(np.float32)
    n_before, n_after = min(_PAUSE_FADE, len(before)), min(_PAUSE_FADE, len(after))
    before[len(before) - n_before :] *= fade[:n_before][::-1]
    after[:n_after] *= fade[:n_after]
    moved = [(start, min(end, place)) for start, end in spans[:index]]
    moved += [(max(start, place) + n_samples, end + n_samples) for start, end in spans[index:]]
    return np.concatenate([before, np.zeros(n_samples, np.float32), after]), moved


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
        offset = n_samples / SAMPLE_RATE_HZ - piece.start
        words += [replace(w, start=w.start + offset, end=w.end + offset) for w in piece.words]
        samples.append(piece.samples)
        dropped.append(piece.dropped)
        n_samples += len(piece.samples)
    whole = np.concatenate(samples) if samples else np.zeros(0, np.float32)
    return AudioData(whole, words=words, dropped="".join(dropped))
