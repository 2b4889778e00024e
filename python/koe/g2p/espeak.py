# SPDX-License-Identifier: Apache-2.0
"""The G2P of espeak-ng, from the library that `espeakng-loader` ships: no system package is needed."""

import re
import threading
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from koe.errors import G2PError
from koe.g2p.align import align_words
from koe.g2p.normalize import NormalizedText, normalize
from koe.g2p.phonemes import Phonemes, WordSpan
from koe.g2p.rules import RULES_V1_0, apply_rules, steps
from koe.voice import Language

if TYPE_CHECKING:
    from phonemizer.backend.espeak.wrapper import EspeakWrapper

LANGUAGES = (
    Language.AMERICAN_ENGLISH,
    Language.BRITISH_ENGLISH,
    Language.SPANISH,
    Language.FRENCH,
    Language.HINDI,
    Language.ITALIAN,
    Language.BRAZILIAN_PORTUGUESE,
)

# espeak-ng is global to the process and not thread-safe.
_lock = threading.Lock()
_voices: dict[Language, "EspeakWrapper"] = {}

_TIE = "͡"
# espeak marks words that it read by another language's rules: "(fr)".
_LANGUAGE_FLAG = re.compile(r"\([^()]*\)")

# Marks that carry a pause or an intonation; a point, comma or colon inside a number or an address is none.
_MARKS = frozenset(';:,.!?—…"“”()')
_DECIMAL_COMMA = frozenset(
    (Language.SPANISH, Language.FRENCH, Language.ITALIAN, Language.BRAZILIAN_PORTUGUESE),
)
_THOUSANDS = re.compile(r"\d{3}(?!\d)")
_OPENING_MARKS = frozenset('—"“(')
_BRACKETS = ("“", "(")
_TITLES = frozenset(
    ("mr", "mrs", "ms", "dr", "prof", "st", "jr", "sr", "gen", "col", "capt", "lt", "sgt", "rev", "hon", "mt", "vs")
)
# These may end a sentence too: a capital letter after them begins the next one.
_ABBREVIATIONS = frozenset(("etc", "no", "vol", "fig", "approx", "dept", "est", "ed", "pp", "cf"))
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")
# espeak cuts off a word of more than some 60 phonemes and a phrase of more than 800 characters.
_LONGEST_WORD = 48
_WORD_PIECE = 24
_LONGEST_PHRASE = 240
# Above this a text is not worth keeping: whole pages come once.
_LONGEST_CACHED_TEXT = 2000
_WORD_CACHE_SIZE = 8192


class CacheInfo(NamedTuple):
    """Counts of a cache."""

    hits: int
    misses: int
    max_size: int
    size: int


@dataclass(slots=True)
class _Word:
    """A stretch of normalised text without a space or mark."""

    start: int
    end: int
    tag: int
    joined: bool


class EspeakG2P:
    """espeak-ng's phonemes in Kokoro's letters, with word alignment and inline pronunciations.

    Punctuation, quotes and brackets stay; `[word](/fəˈnimz/)` gives a word's phonemes verbatim. Emoji are read by their
    names; letters of scripts that espeak would only spell out as numbers (CJK, Thai, …) are dropped and reported.
    Thread-safe.
    """

    def __init__(self, rules: str = RULES_V1_0, cache_size: int = 1024) -> None:
        """
        Args:
            rules: the phoneme rules of the model, "1.0" or "0.19".
            cache_size: how many texts' phonemes are kept; 0 for none.

        Raises:
            ValueError: there is no such rule set.
        """
        steps(Language.AMERICAN_ENGLISH, rules)
        self.rules = rules
        self._cached = lru_cache(maxsize=max(0, cache_size))(self._phonemize)
        self._spoken_alone = lru_cache(maxsize=_WORD_CACHE_SIZE)(self._speak)

    def phonemize(self, text: str, language: Language) -> Phonemes:
        """See `G2P.phonemize`."""
        if language not in LANGUAGES:
            raise G2PError(
                f"espeak-ng has no phonemes that Kokoro knows for {language.value}; pass a G2P of your own for it, "
                "as Config(g2p=…)"
            )
        if len(text) > _LONGEST_CACHED_TEXT:
            return self._phonemize(text, language)
        return self._cached(text, language)

    def cache_info(self) -> CacheInfo:
        """Hits, misses, greatest and present size of the cache of texts."""
        info = self._cached.cache_info()
        return CacheInfo(info.hits, info.misses, info.maxsize or 0, info.currsize)

    def _phonemize(self, text: str, language: Language) -> Phonemes:
        normalized, pronunciations = normalize(text)
        writer = _Writer(normalized, pronunciations)
        for item in _scan(normalized, language in _DECIMAL_COMMA):
            if isinstance(item, str):
                writer.mark(item)
                continue
            start, end = item[0].start, item[-1].end
            phrase = self._speak(normalized.text[start:end], language)
            alone = [self._spoken_alone(normalized.text[word.start : word.end], language) for word in item]
            spans = align_words(phrase, alone, [word.joined for word in item])
            writer.phrase(phrase, item, spans, alone)
        return writer.finish()

    def _speak(self, text: str, language: Language) -> str:
        """Kokoro's phonemes of a phrase without marks; one space between groups."""
        raw = _espeak(text, language)
        return " ".join(apply_rules(raw, language, self.rules).split())


def _espeak(text: str, language: Language) -> str:
    """espeak-ng's phonemes, tied by `^`."""
    with _lock:
        try:
            voice = _voices.get(language)
            if voice is None:
                voice = _voices[language] = _open_voice(language)
            raw: str = voice.text_to_phonemes(text, True)
        except (RuntimeError, OSError, ImportError) as error:
            raise G2PError(
                f"espeak-ng failed for {language.value}: {error}; reinstall phonemizer and espeakng-loader"
            ) from error
    return _LANGUAGE_FLAG.sub("", raw).replace(_TIE, "^").replace("_", "")


def _open_voice(language: Language) -> "EspeakWrapper":
    import espeakng_loader
    from phonemizer.backend.espeak.wrapper import EspeakWrapper

    # The paths are the class's: on a class of koe's own they leave another user of phonemizer alone.
    wrapper: type[EspeakWrapper] = type("KoeEspeak", (EspeakWrapper,), {})
    wrapper.set_library(espeakng_loader.get_library_path())
    wrapper.set_data_path(espeakng_loader.get_data_path())
    voice = wrapper()
    voice.set_voice(language.value)
    return voice


def _scan(normalized: NormalizedText, decimal_comma: bool) -> list[str | list[_Word]]:
    """The text as marks, spaces and phrases, in order."""
    items: list[str | list[_Word]] = []
    phrase: list[_Word] = []
    text = normalized.text
    position = 0

    def end_phrase() -> None:
        if phrase:
            items.append(list(phrase))
            phrase.clear()

    while position < len(text):
        if text[position] == " " and normalized.tags[position] < 0:
            if phrase and phrase[-1].end - phrase[0].start > _LONGEST_PHRASE:
                end_phrase()
            if not phrase and not (items and items[-1] in _BRACKETS):
                items.append(" ")
            position += 1
        elif _is_mark(normalized, position, decimal_comma):
            if text[position] == "." and phrase and phrase[-1].end == position and _is_abbreviation(text, phrase[-1]):
                # espeak reads "U.S." with its last point better than without.
                phrase[-1].end += 1
            end_phrase()
            if text[position] in _OPENING_MARKS and position and text[position - 1] == " ":
                items.append(" ")
            items.append(text[position])
            position += 1
        else:
            word = _read_word(normalized, position, decimal_comma)
            word.joined = bool(phrase) and phrase[-1].end == position
            phrase.append(word)
            position = word.end
            if _is_cut(normalized, word, decimal_comma):
                end_phrase()
    end_phrase()
    return items


def _read_word(normalized: NormalizedText, start: int, decimal_comma: bool) -> _Word:
    text, tag = normalized.text, normalized.tags[start]
    end = start + 1
    while end < len(text) and normalized.tags[end] == tag:
        if tag < 0 and (text[end] == " " or _is_mark(normalized, end, decimal_comma)):
            break
        end += 1
    if tag < 0 and end - start > _LONGEST_WORD:
        end = start + _WORD_PIECE
    return _Word(start, end, tag, False)


def _is_cut(normalized: NormalizedText, word: _Word, decimal_comma: bool) -> bool:
    """Whether the word is a piece of a longer one, which espeak must not see in one piece."""
    if word.tag >= 0 or word.end - word.start < _WORD_PIECE or word.end == len(normalized.text):
        return False
    return normalized.text[word.end] != " " and not _is_mark(normalized, word.end, decimal_comma)


def _is_mark(normalized: NormalizedText, position: int, decimal_comma: bool) -> bool:
    """Whether the character ends a phrase."""
    text = normalized.text
    character = text[position]
    if character not in _MARKS or normalized.tags[position] >= 0:
        return False
    if character not in ".,:":
        return True
    before = text[position - 1] if position else " "
    after = text[position + 1] if position + 1 < len(text) else " "
    if character == ",":
        if decimal_comma:
            return not (before.isdigit() and after.isdigit())
        return not (before.isdigit() and _THOUSANDS.match(text, position + 1))
    if character == ":":
        return not (before.isdigit() and after.isdigit()) and after != "/"
    if after.isalnum():
        return False
    start = position
    while start and text[start - 1] != " " and (text[start - 1] not in _MARKS or text[start - 1] == "."):
        start -= 1
    return not _point_belongs(text[start:position], text[position + 1 :].lstrip(" ")[:1])


def _point_belongs(word: str, following: str) -> bool:
    """Whether a point after `word` is part of it: at the very end, or before a mark, it is a full stop."""
    if not following.isalnum() and following != ",":
        return False
    if word.lower() in _ABBREVIATIONS:
        return not following.isupper()
    return word.lower() in _TITLES or (word != "I" and _INITIALS.fullmatch(word) is not None)


def _is_abbreviation(text: str, word: _Word) -> bool:
    spelled = text[word.start : word.end]
    return "." in spelled and _INITIALS.fullmatch(spelled) is not None


class _Writer:
    """Puts phonemes, marks and spans together."""

    def __init__(self, normalized: NormalizedText, pronunciations: list[str]) -> None:
        self._normalized = normalized
        self._pronunciations = pronunciations
        self._out: list[str] = []
        self._length = 0
        self._words: list[WordSpan] = []
        self._dropped = list(normalized.dropped)

    def _append(self, phonemes: str) -> None:
        if phonemes:
            self._out.append(phonemes)
            self._length += len(phonemes)

    def _ends_with_space(self) -> bool:
        return not self._out or self._out[-1].endswith(" ")

    def mark(self, mark: str) -> None:
        """A mark of the vocabulary, or a space."""
        if mark != " " or not self._ends_with_space():
            self._append(mark)

    def phrase(self, phonemes: str, words: list[_Word], spans: list[tuple[int, int]], alone: list[str]) -> None:
        """A phrase's phonemes with the span of each word in them."""
        position = 0
        for word, (start, end), spoken in zip(words, spans, alone, strict=True):
            inline = self._pronunciations[word.tag] if word.tag >= 0 else None
            self._append(phonemes[position:start])
            position = end
            if inline is not None and not word.joined and self._length and not self._ends_with_space():
                self._append(" ")
            first = self._length
            self._append(phonemes[start:end] if inline is None else inline)
            self._add_word(word, first, bool(spoken))
            if inline is not None and position < len(phonemes) and phonemes[position] != " ":
                following = next((w for w in words if w.start >= word.end), None)
                if following is not None and not following.joined:
                    self._append(" ")
        self._append(phonemes[position:])

    def _add_word(self, word: _Word, first: int, is_spoken: bool) -> None:
        text_start = self._normalized.spans[word.start][0]
        text_end = self._normalized.spans[word.end - 1][1]
        if self._length > first:
            self._words.append(WordSpan(text_start, text_end, first, self._length))
        elif not is_spoken:
            spelled = self._normalized.text[word.start : word.end]
            if any(unicodedata.category(c)[0] in "LNS" for c in spelled):
                self._dropped.append((text_start, spelled))

    def finish(self) -> Phonemes:
        """Everything, without space at the edges."""
        joined = "".join(self._out)
        return Phonemes(joined.rstrip(" "), tuple(self._words), "".join(text for _, text in sorted(self._dropped)))
