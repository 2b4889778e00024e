# SPDX-License-Identifier: Apache-2.0
"""Names of voices and languages."""

from enum import StrEnum

from koe.errors import InvalidRequestError


class Voice(StrEnum):
    """The best-known voices; every other one goes by its name, such as `"af_heart"`.

    A member's value is the name of a voice, except `DEFAULT`, which is a mix: half Bella, half Sarah.
    """

    DEFAULT = "af"
    BELLA = "af_bella"
    SARAH = "af_sarah"
    NICOLE = "af_nicole"
    SKY = "af_sky"
    ADAM = "am_adam"
    MICHAEL = "am_michael"
    EMMA = "bf_emma"
    ISABELLA = "bf_isabella"
    GEORGE = "bm_george"
    LEWIS = "bm_lewis"


class Language(StrEnum):
    """Kokoro's languages; the value is espeak-ng's code for it."""

    AMERICAN_ENGLISH = "en-us"
    BRITISH_ENGLISH = "en-gb"
    SPANISH = "es"
    FRENCH = "fr-fr"
    HINDI = "hi"
    ITALIAN = "it"
    BRAZILIAN_PORTUGUESE = "pt-br"
    JAPANESE = "ja"
    MANDARIN_CHINESE = "zh"

    @property
    def letter(self) -> str:
        """The letter that the names of this language's voices begin with."""
        return _LETTERS[self]

    @classmethod
    def parse(cls, value: "Language | str") -> "Language":
        """The language for a code such as "en-us" or a voice letter such as "a", in any case.

        Raises:
            InvalidRequestError: there is no such language.
        """
        key = str(value).strip().lower().replace("_", "-")
        for language, letter in _LETTERS.items():
            if key in (language.value, letter, language.name.lower().replace("_", "-")):
                return language
        known = ", ".join(f"{language.value} ({letter})" for language, letter in _LETTERS.items())
        raise InvalidRequestError(f"unknown language {str(value)!r}; koe knows {known}")

    @classmethod
    def of_voice(cls, voice: str) -> "Language":
        """The language of a voice by the first letter of its name, such as that of "bf_emma".

        A name that does not say, such as that of a user's own voice, counts as American English.
        """
        if voice[1:3] in ("f_", "m_"):
            for language, letter in _LETTERS.items():
                if voice[0] == letter:
                    return language
        return cls.AMERICAN_ENGLISH


_LETTERS: dict[Language, str] = {
    Language.AMERICAN_ENGLISH: "a",
    Language.BRITISH_ENGLISH: "b",
    Language.SPANISH: "e",
    Language.FRENCH: "f",
    Language.HINDI: "h",
    Language.ITALIAN: "i",
    Language.JAPANESE: "j",
    Language.BRAZILIAN_PORTUGUESE: "p",
    Language.MANDARIN_CHINESE: "z",
}
