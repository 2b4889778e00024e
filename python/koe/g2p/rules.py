# SPDX-License-Identifier: Apache-2.0
"""From espeak-ng's phonemes to Kokoro's.

A rule set is data: an ordered list of steps, each a literal or a regular expression with its replacement, applied
to the whole string one after the other. Input is espeak-ng's IPA with `^` as the tie; output holds no tie.
Sources: misaki (espeak.py, Apache-2.0) for version 1.0, the code published with Kokoro v0.19 for the older one.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from koe.voice import Language

RULES_V1_0 = "1.0"
RULES_V0_19 = "0.19"


@dataclass(frozen=True, slots=True)
class Step:
    """One replacement, everywhere in the string; `is_pattern` makes `find` a regular expression."""

    find: str
    replace: str
    is_pattern: bool = False


def _longest_first(table: dict[str, str]) -> list[Step]:
    return [Step(find, replace) for find, replace in sorted(table.items(), key=lambda item: -len(item[0]))]


_NASAL = "\u0303"
_SYLLABIC = "\u0329"

_ENGLISH = {
    f"ʔˌn{_SYLLABIC}": "ʔn",
    f"ʔn{_SYLLABIC}": "ʔn",
    "a^ɪ": "I",
    "a^ʊ": "W",
    "d^ʒ": "ʤ",
    "e^ɪ": "A",
    "e": "A",
    "t^ʃ": "ʧ",
    "ɔ^ɪ": "Y",
    "ə^l": "ᵊl",
    "ʲo": "jo",
    "ʲə": "jə",
    "ʲ": "",
    "ɚ": "əɹ",
    "r": "ɹ",
    "x": "k",
    "ç": "k",
    "ɐ": "ə",
    "ɬ": "l",
    _NASAL: "",
}
_SYLLABIC_STEPS = [Step(rf"(\S){_SYLLABIC}", r"ᵊ\1", is_pattern=True), Step(_SYLLABIC, "")]
# The diphthongs that begin with e or i go first here: after "e" has become "A" the rule for e^ə could never apply, and
# espeak-ng 1.52 ties the vowels of "here", which older releases left untied.
_BRITISH_FIRST = [Step("e^ə", "ɛː"), Step("i^ə", "ɪə")]
_BRITISH = [Step("iə", "ɪə"), Step("ə^ʊ", "Q")]
_AMERICAN = [Step("o^ʊ", "O"), Step("ɜːɹ", "ɜɹ"), Step("ɜː", "ɜɹ"), Step("ɪə", "iə"), Step("ː", "")]
_ENGLISH_LAST = [Step("o", "ɔ"), Step("ɾ", "T"), Step("ʔ", "t"), Step("^", "")]

# Other languages keep their vowels, nasal marks and length; only affricates and diphthongs have letters of their own.
_OTHER = {
    "a^ɪ": "I",
    "a^ʊ": "W",
    "d^z": "ʣ",
    "d^ʒ": "ʤ",
    "e^ɪ": "A",
    "o^ʊ": "O",
    "ə^ʊ": "Q",
    "s^s": "S",
    "t^s": "ʦ",
    "t^ʃ": "ʧ",
    "ɔ^ɪ": "Y",
    # espeak-ng's retroflex flap of Hindi, whose point is no full stop.
    "r.": "ɽ",
}

_V0_19 = [
    Step("^", ""),
    Step("kəkˈoːɹoʊ", "kˈoʊkəɹoʊ"),
    Step("kəkˈɔːɹoʊ", "kˈoʊkəɹoʊ"),
    Step("kəkˈɔːɹəʊ", "kˈəʊkəɹəʊ"),
    Step("ʲ", "j"),
    Step("r", "ɹ"),
    Step("x", "k"),
    Step("ɬ", "l"),
    Step(r"(?<=[a-zɹː])(?=hˈʌndɹɪd)", " ", is_pattern=True),
    Step(r' z(?=[;:,.!?¡¿—…"«»“” ]|$)', "z", is_pattern=True),
]
_V0_19_AMERICAN = [Step(r"(?<=nˈaɪn)ti(?!ː)", "di", is_pattern=True)]


def steps(language: Language, rules: str) -> list[Step]:
    """The steps of a rule set for a language, in order.

    Raises:
        ValueError: there is no such rule set.
    """
    if rules == RULES_V0_19:
        return _V0_19 + (_V0_19_AMERICAN if language is Language.AMERICAN_ENGLISH else [])
    if rules != RULES_V1_0:
        raise ValueError(f"unknown phoneme rules {rules!r}; there are {RULES_V1_0!r} and {RULES_V0_19!r}")
    if language is Language.AMERICAN_ENGLISH:
        return [*_longest_first(_ENGLISH), *_SYLLABIC_STEPS, *_AMERICAN, *_ENGLISH_LAST]
    if language is Language.BRITISH_ENGLISH:
        return [*_BRITISH_FIRST, *_longest_first(_ENGLISH), *_SYLLABIC_STEPS, *_BRITISH, *_ENGLISH_LAST]
    return [*_longest_first(_OTHER), Step("^", ""), Step("-", "")]


def _compile(sequence: Sequence[Step]) -> Callable[[str], str]:
    compiled = [(re.compile(s.find if s.is_pattern else re.escape(s.find)), s.replace) for s in sequence]

    def run(phonemes: str) -> str:
        for pattern, replacement in compiled:
            phonemes = pattern.sub(replacement, phonemes)
        return phonemes

    return run


_compiled: dict[tuple[Language, str], Callable[[str], str]] = {}


def apply_rules(phonemes: str, language: Language, rules: str = RULES_V1_0) -> str:
    """Kokoro's phonemes for espeak-ng's, `^` being the tie.

    Raises:
        ValueError: there is no such rule set.
    """
    key = (language, rules)
    if key not in _compiled:
        _compiled[key] = _compile(steps(language, rules))
    return _compiled[key](phonemes)
