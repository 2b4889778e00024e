# SPDX-License-Identifier: Apache-2.0
"""The G2P of espeak-ng, from the library that `espeakng-loader` ships: no system package is needed."""

import contextlib
import threading
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from koe import _core
from koe.errors import G2PError
from koe.g2p.phonemes import Phonemes, WordSpan
from koe.g2p.rules import RULES_V1_0, apply_rules
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

# Above this a text is not worth keeping: whole pages come once.
_LONGEST_CACHED_TEXT = 2000
_WORD_CACHE_SIZE = 8192


class CacheInfo(NamedTuple):
    """Counts of a cache."""

    hits: int
    misses: int
    max_size: int
    size: int


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
        apply_rules("", Language.AMERICAN_ENGLISH, rules)
        self.rules = rules
        self._cached = lru_cache(maxsize=max(0, cache_size))(self._phonemize)
        self._spoken_alone = lru_cache(maxsize=_WORD_CACHE_SIZE)(self._speak)

    def preload(self) -> None:
        """Imports what the first text needs, which takes longer than the text; whatever fails then says so."""
        with contextlib.suppress(ImportError):
            import_module("espeakng_loader")
            import_module("phonemizer.backend.espeak.wrapper")

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
        phonemes, words, dropped = _core.phonemize(
            text,
            language.value,
            lambda phrase: self._speak(phrase, language),
            lambda word: self._spoken_alone(word, language),
        )
        return Phonemes(phonemes, tuple(WordSpan(*word) for word in words), dropped)

    def _speak(self, text: str, language: Language) -> str:
        """Kokoro's phonemes of a phrase without marks; one space between groups."""
        return _core.map_phonemes(_espeak(text, language), language.value, self.rules)


def _espeak(text: str, language: Language) -> str:
    """espeak-ng's phonemes, with ties."""
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
    return raw


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
