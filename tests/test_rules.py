# SPDX-License-Identifier: Apache-2.0
"""espeak-ng's phonemes to Kokoro's, rule by rule."""

import pytest

from koe.g2p import RULES_V0_19, RULES_V1_0, apply_rules
from koe.voice import Language

AMERICAN, BRITISH = Language.AMERICAN_ENGLISH, Language.BRITISH_ENGLISH


@pytest.mark.parametrize("language", [AMERICAN, BRITISH])
@pytest.mark.parametrize(
    ("espeak", "kokoro"),
    [
        ("bˈʌʔˌn̩", "bˈʌtn"),
        ("bˈʌʔn̩", "bˈʌtn"),
        ("ta^ɪm", "tIm"),
        ("na^ʊ", "nW"),
        ("d^ʒʌd^ʒ", "ʤʌʤ"),
        ("de^ɪ", "dA"),
        ("kafe", "kafA"),
        ("t^ʃɪn", "ʧɪn"),
        ("bɔ^ɪ", "bY"),
        ("æpə^l", "æpᵊl"),
        ("nʲo", "njɔ"),
        ("nʲə", "njə"),
        ("nʲa", "na"),
        ("lɛɾɚ", "lɛTəɹ"),
        ("rɛd", "ɹɛd"),
        ("lɒx", "lɒk"),
        ("ɪç", "ɪk"),
        ("sodɐ", "sɔdə"),
        ("ɬan", "lan"),
        ("mɑ̃", "mɑ"),
        ("l̩", "ᵊl"),
        ("\u0329a", "a"),
        ("ʔa", "ta"),
        ("a^b", "ab"),
    ],
)
def test_english_rules_of_v1_0(language: Language, espeak: str, kokoro: str) -> None:
    assert apply_rules(espeak, language, RULES_V1_0) == kokoro


@pytest.mark.parametrize(
    ("espeak", "american", "british"),
    [
        ("ðe^ə", "ðAə", "ðɛː"),
        ("hiə", "hiə", "hɪə"),
        ("hi^ə", "hiə", "hɪə"),
        ("hɪə", "hiə", "hɪə"),
        ("ɡə^ʊ", "ɡəʊ", "ɡQ"),
        ("ɡo^ʊ", "ɡO", "ɡɔʊ"),
        ("bɜːɹd", "bɜɹd", "bɜːɹd"),
        ("bɜːd", "bɜɹd", "bɜːd"),
        ("siː", "si", "siː"),
    ],
)
def test_american_and_british_vowels_of_v1_0(espeak: str, american: str, british: str) -> None:
    assert apply_rules(espeak, AMERICAN) == american
    assert apply_rules(espeak, BRITISH) == british


def test_other_languages_keep_vowels_length_and_nasal_marks() -> None:
    assert apply_rules("bɔ̃ʒˈuʁ lə- t^ʃˈeː d^zo^ʊ", Language.FRENCH) == "bɔ̃ʒˈuʁ lə ʧˈeː ʣO"


def test_the_retroflex_flap_of_hindi_is_no_full_stop() -> None:
    assert apply_rules("pˈʌr.hənˌaː", Language.HINDI) == "pˈʌɽhənˌaː"


@pytest.mark.parametrize(
    ("espeak", "american", "british"),
    [
        ("kəkˈoːɹo^ʊ", "kˈoʊkəɹoʊ", "kˈoʊkəɹoʊ"),
        ("kəkˈɔːɹə^ʊ", "kˈəʊkəɹəʊ", "kˈəʊkəɹəʊ"),
        ("nʲr xɬ", "njɹ kl", "njɹ kl"),
        ("twɛntihˈʌndɹɪd", "twɛnti hˈʌndɹɪd", "twɛnti hˈʌndɹɪd"),
        ("tˈuːhˈʌndɹɪd", "tˈuː hˈʌndɹɪd", "tˈuː hˈʌndɹɪd"),
        ("dˈɑːɡ z ɪz", "dˈɑːɡz ɪz", "dˈɑːɡz ɪz"),
        ("dˈɑːɡ z", "dˈɑːɡz", "dˈɑːɡz"),
        ("dˈɑːɡ zuː", "dˈɑːɡ zuː", "dˈɑːɡ zuː"),
        ("nˈa^ɪnti", "nˈaɪndi", "nˈaɪnti"),
        ("nˈa^ɪntiːn", "nˈaɪntiːn", "nˈaɪntiːn"),
        ("e^ɪɾɚʔ", "eɪɾɚʔ", "eɪɾɚʔ"),
    ],
)
def test_rules_of_v0_19(espeak: str, american: str, british: str) -> None:
    assert apply_rules(espeak, AMERICAN, RULES_V0_19) == american
    assert apply_rules(espeak, BRITISH, RULES_V0_19) == british


def test_unknown_rules_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'2\.0'"):
        apply_rules("a", AMERICAN, "2.0")
