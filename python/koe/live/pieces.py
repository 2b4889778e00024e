# SPDX-License-Identifier: Apache-2.0
"""From tokens to pieces that are spoken at once: small at first, so that speech begins early, then growing."""

import codecs
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from koe import _core
from koe.errors import InvalidRequestError
from koe.live.markup import CleanText, MarkupReader
from koe.prosody import NEUTRAL, Closing, Directions, Opening, Pause, Prosody, Span, TagReader

# Letters below which the model is weak; about as many tokens.
_LEAST_LETTERS = 20
# The model is best from 50 to 150 tokens and rushes above 400.
_GOOD_LETTERS = 40
_BEST_LETTERS = 150
_MOST_LETTERS = 300
_LONGEST_UNIT = 400
# A language model of 15 tokens a second writes about 60 characters, of which a voice speaks some 15 in a second. With
# these two the pieces are chosen as if time had passed, so that the same text always gives the same pieces.
_WRITTEN_PER_SECOND = 60.0
_SPOKEN_PER_SECOND = 15.0
# Speech that should still lie ahead of the listener when the next piece is begun.
_RESERVE_S = 1.5

_CLOSERS = "\"'”’»)]}）］】」』*_"
_BRACKETS = ")]}）］】"
_CLAUSE_MARKS = ",;:—–-、，；："


class Boundary(Enum):
    """What stands at the end of a piece."""

    SENTENCE = 1.0
    CLAUSE = 0.4
    NONE = 0.0
    """The value is the length of the pause after it, in sentence pauses."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Text that is spoken at once.

    Attributes:
        text: to be spoken.
        origins: for each of its characters, where it stands in the input.
        directions: prosody, by characters of `text`.
        boundary: at its end.
    """

    text: str
    origins: list[int]
    directions: Directions
    boundary: Boundary

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """The span in the input of text[start:end], which isn't empty."""
        return self.origins[start], self.origins[end - 1] + 1


class TextStream:
    """Turns tokens into pieces, the same however a text is cut into tokens. Not for two threads at once.

    The first piece is the first clause with enough letters for the model; later ones are sentences, or clauses while
    little speech lies ahead, and then a few sentences at once.
    """

    def __init__(
        self, markdown: bool = True, speed: float = 1.0, directions: Directions | None = None, strict: bool = False
    ) -> None:
        """
        Args:
            markdown: read the text as Markdown.
            speed: of the speech.
            directions: prosody by characters of the input.
            strict: raise for tags out of range instead of passing over them.
        """
        self._reader = MarkupReader(markdown)
        self._splitter = _core.StreamSplitter(first_clause_min_chars=1, clause_min_chars=1, max_chars=_LONGEST_UNIT)
        self._speed = speed
        self._directions = directions or Directions()
        self._strict = strict
        self.refused: list[tuple[str, str]] = []
        self._restart()

    def _restart(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._tags = TagReader(self._directions.base)
        self._origins: list[int] = []  # of the characters that are not in a piece yet
        self._first = 0  # the number of the first of these
        self._prosodies: list[tuple[int, Prosody]] = []  # from which character on which prosody holds
        self._pauses: list[tuple[int, float]] = []
        self._next_pause = 0  # of the caller's
        self._held: list[str] = []
        self._arrived = 0
        self._arrived_before_speech = 0
        self._letters = 0  # in all pieces given out

    def push(self, token: str | bytes) -> list[Piece]:
        """Takes the next token; gives the pieces that are complete now.

        Raises:
            InvalidRequestError: a tag is out of range, if strict.
        """
        text = self._decoder.decode(token) if isinstance(token, bytes) else self._decoder.decode(b"", True) + token
        return self._split(self._reader.push(text), is_last=False)

    def flush(self) -> list[Piece]:
        """The text is over: gives what is left, and starts anew.

        Raises:
            InvalidRequestError: a tag is out of range, if strict.
        """
        rest = self._decoder.decode(b"", True)
        pieces = self._split(self._reader.push(rest), is_last=False) if rest else []
        pieces += self._split(self._reader.flush(), is_last=True)
        self._restart()
        return pieces

    def release(self) -> list[Piece]:
        """Gives what is complete though it could still grow, because the listener has run out of speech."""
        return [self._take()] if _n_letters(self._held) >= _LEAST_LETTERS else []

    @property
    def is_holding(self) -> bool:
        """Whether `release` would give something."""
        return _n_letters(self._held) >= _LEAST_LETTERS

    @property
    def n_pending(self) -> int:
        """Characters that are held back in all."""
        return self._reader.pending + len(self._origins)

    def _split(self, clean: CleanText, is_last: bool) -> list[Piece]:
        self._read_tags(clean)
        self._origins += clean.origins
        units = self._splitter.push(clean.text) if clean.text else []
        pieces: list[Piece] = []
        for unit in units:
            pieces += self._add(unit)
        if is_last:
            for unit in self._splitter.flush():
                pieces += self._add(unit)
            if self._held or self._pauses or self._next_pause < len(self._directions.pauses):
                pieces.append(self._take(is_last=True))
        return pieces

    def _read_tags(self, clean: CleanText) -> None:
        refused = clean.refused
        base = self._first + len(self._origins)
        for position, tag in clean.tags:
            if isinstance(tag, (Opening, Closing)):
                try:
                    self._tags.read(tag)
                except InvalidRequestError as error:
                    refused = [*refused, (f"[{tag.name}]", str(error))]
                self._prosodies.append((base + position, self._tags.prosody))
            else:
                self._pauses.append((base + position, tag))
        if refused and self._strict:
            raise InvalidRequestError(f"{refused[0][0]}: {refused[0][1]}")
        self.refused += refused

    def _add(self, unit: str) -> Iterable[Piece]:
        self._arrived += len(unit)
        pieces = []
        letters = _n_letters((unit,))
        held = _n_letters(self._held)
        if held >= _GOOD_LETTERS and held + letters > _MOST_LETTERS:
            pieces.append(self._take())
            held = 0
        self._held.append(unit)
        if self._is_ready(held + letters, _boundary(unit)):
            pieces.append(self._take())
        return pieces

    def _is_ready(self, letters: int, boundary: Boundary) -> bool:
        if letters < _LEAST_LETTERS:
            return False
        if not self._letters:
            return True
        written_s = (self._arrived - self._arrived_before_speech) / _WRITTEN_PER_SECOND
        is_urgent = self._letters / (_SPOKEN_PER_SECOND * self._speed) - written_s < _RESERVE_S
        if boundary is not Boundary.SENTENCE:
            return is_urgent or letters >= _MOST_LETTERS
        return is_urgent or letters >= min(_BEST_LETTERS, max(_GOOD_LETTERS, self._letters / 2))

    def _take(self, is_last: bool = False) -> Piece:
        text = "".join(self._held)
        if not self._letters:
            self._arrived_before_speech = self._arrived
        self._letters += _n_letters(self._held)
        boundary = _boundary(self._held[-1]) if self._held else Boundary.NONE
        self._held = []
        first, end = self._first, self._first + len(text)
        origins, self._origins = self._origins[: len(text)], self._origins[len(text) :]
        self._first = end
        spans = self._tagged(first, end)
        spans += self._directed(origins)
        pauses = [Pause(position - first, s) for position, s in self._pauses if position < end or is_last]
        self._pauses = self._pauses[len(pauses) :]
        while self._next_pause < len(self._directions.pauses):
            pause = self._directions.pauses[self._next_pause]
            if not is_last and (not origins or pause.position > origins[-1]):
                break
            pauses.append(Pause(bisect_left(origins, pause.position), pause.seconds))
            self._next_pause += 1
        pauses.sort(key=lambda pause: pause.position)
        return Piece(text, origins, Directions(tuple(spans), tuple(pauses), self._directions.base), boundary)

    def _tagged(self, first: int, end: int) -> list[Span]:
        """The tags' spans in characters first to end, counted from first."""
        spans = []
        for i, (start, prosody) in enumerate(self._prosodies):
            stop = min(end, self._prosodies[i + 1][0] if i + 1 < len(self._prosodies) else end)
            begin = max(start, first)
            if begin < stop and prosody != NEUTRAL:
                spans.append(Span(begin - first, stop - first, prosody))
        # The one that holds at the end holds on.
        n_past = sum(start <= end for start, _ in self._prosodies)
        self._prosodies = self._prosodies[max(0, n_past - 1) :]
        return spans

    def _directed(self, origins: list[int]) -> list[Span]:
        """The caller's spans in a piece's characters."""
        spans = []
        for span in self._directions.spans:
            start, end = bisect_left(origins, span.start), bisect_left(origins, span.end)
            if start < end:
                spans.append(Span(start, end, span.prosody))
        return spans


def read_tags(text: str, directions: Directions) -> tuple[str, list[int], Directions]:
    """Takes the prosody tags out of a whole text.

    Returns:
        The text without them; for each of its characters, where it comes from; and the directions by its characters.

    Raises:
        InvalidRequestError: a tag is out of range.
    """
    reader = MarkupReader(markdown=False)
    parts = [reader.push(text), reader.flush()]
    clean = "".join(part.text for part in parts)
    origins = [origin for part in parts for origin in part.origins]
    tags = TagReader(directions.base)
    spans: list[Span] = []
    pauses: list[Pause] = []
    base = start = 0
    for part in parts:
        for refused, reason in part.refused:
            raise InvalidRequestError(f"{refused}: {reason}")
        for place, tag in part.tags:
            position = base + place
            if isinstance(tag, float):
                pauses.append(Pause(position, tag))
                continue
            if start < position and tags.prosody != NEUTRAL:
                spans.append(Span(start, position, tags.prosody))
            tags.read(tag)
            start = position
        base += len(part.text)
    if start < len(clean) and tags.prosody != NEUTRAL:
        spans.append(Span(start, len(clean), tags.prosody))
    for span in directions.spans:
        first, last = bisect_left(origins, span.start), bisect_left(origins, span.end)
        if first < last:
            spans.append(Span(first, last, span.prosody))
    return clean, origins, Directions(tuple(spans), tuple(pauses), directions.base)


def _n_letters(texts: Iterable[str]) -> int:
    return sum(character.isalnum() for text in texts for character in text)


def _boundary(unit: str) -> Boundary:
    text = unit.rstrip()
    core = text.rstrip(_CLOSERS + " ")
    if not core:
        return Boundary.SENTENCE
    if core[-1] in _CLAUSE_MARKS:
        return Boundary.CLAUSE
    if core[-1].isalnum():
        if text[-1] in _BRACKETS:
            return Boundary.CLAUSE
        # A heading or a list item ends so too, but is rarely that long.
        if len(unit) > _LONGEST_UNIT // 2:
            return Boundary.NONE
    return Boundary.SENTENCE
