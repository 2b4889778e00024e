# SPDX-License-Identifier: Apache-2.0
"""Text to phonemes through espeak-ng: punctuation, alignment, odd input, cache, threads."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koe.errors import G2PError, InvalidRequestError
from koe.g2p import G2P, EspeakG2P, Phonemes, apply_rules
from koe.voice import Language, Voice

AMERICAN, BRITISH = Language.AMERICAN_ENGLISH, Language.BRITISH_ENGLISH
MARKS = ';:,.!?—…"“”()'

_g2p = EspeakG2P()


def phonemize(text: str, language: Language = AMERICAN) -> Phonemes:
    return _g2p.phonemize(text, language)


def pairs(text: str, language: Language = AMERICAN) -> list[tuple[str, str]]:
    result = phonemize(text, language)
    return [(text[w.text_start : w.text_end], result.phonemes[w.phoneme_start : w.phoneme_end]) for w in result.words]


def assert_spans_are_sound(text: str, result: Phonemes) -> None:
    text_end = phoneme_end = 0
    covered: set[int] = set()
    for word in result.words:
        assert text_end <= word.text_start < word.text_end <= len(text)
        assert phoneme_end <= word.phoneme_start < word.phoneme_end <= len(result.phonemes)
        text_end, phoneme_end = word.text_end, word.phoneme_end
        covered |= set(range(word.phoneme_start, word.phoneme_end))
    outside = {c for i, c in enumerate(result.phonemes) if i not in covered}
    assert outside <= set(MARKS + " ")


def test_espeak_g2p_fits_the_protocol() -> None:
    assert isinstance(_g2p, G2P)


def test_a_sentence_gets_kokoros_phonemes() -> None:
    result = phonemize("Hello, this is a test of the Kokoro TTS system.")
    assert result.phonemes == "həlˈO, ðɪs ɪz ə tˈɛst ʌvðə kəkˈɔɹO tˌitˌiˈɛs sˈɪstəm."
    assert result.dropped == ""


def test_british_differs_from_american() -> None:
    assert phonemize("There is more over here.", BRITISH).phonemes == "ðɛːɹ ɪz mˈɔːɹ ˌQvə hˈɪə."


@pytest.mark.parametrize(
    "text",
    [
        "The quick brown fox jumps over the lazy dog.",
        "Wait; is it you? Yes: it is, I think!",
        "He said “never” (twice)… and left — at last.",
        "In the middle of the night, a voice called out.",
    ],
)
def test_phonemes_and_punctuation_agree_with_phonemizer(text: str) -> None:
    import espeakng_loader
    from phonemizer.backend import EspeakBackend
    from phonemizer.backend.espeak.wrapper import EspeakWrapper

    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    backend = EspeakBackend("en-us", preserve_punctuation=True, with_stress=True, tie="^")
    expected = apply_rules(backend.phonemize([text])[0].strip(), AMERICAN)
    assert phonemize(text).phonemes == expected


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("One, two; three: four. five! six? seven… eight", ",;:.!?…"),
        ("one... two", "…"),
        ("one -- two – three", "——"),
        ("wait!!! what??", "!?"),
        ("«oui» „ja” 「はい」 [x] {y}", "“”“”“”()()"),
        ("one，two。three！", ",.!"),
    ],
)
def test_marks_survive_in_the_vocabularys_spelling(text: str, marks: str) -> None:
    assert "".join(c for c in phonemize(text).phonemes if c in MARKS) == marks


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Mr. Smith", "mˈɪstəɹ smˈɪθ"),
        ("at 10:30 today", "æt tˈɛn θˈɜɹTi tədˈA"),
        ("the U.S. army", "ðə jˌuˈɛs ˈɑɹmi"),
        ("in the U.S.", "ɪnðə jˌuˈɛs."),
        ("1,000,000 of 3.14", "wˈʌn mˈɪliən ʌv θɹˈi pYnt wˈʌn fˈɔɹ"),
        ("see example.com now", "sˈi ɛɡzˈæmpᵊl dˈɑt kˈɑm nˈW"),
        ("cats, dogs, etc. They", "kˈæts, dˈɑɡz, ɛtsˈɛtɹə. ðA"),
        ("pages 1,2", "pˈAʤᵻz wˈʌn,tˈu"),
        ("No. I do", "nˈO. I dˈu"),
        ("No. 5", "nˈO fˈIv"),
    ],
)
def test_points_and_commas_inside_words_are_no_pauses(text: str, spoken: str) -> None:
    assert phonemize(text).phonemes == spoken


def test_words_that_espeak_joins_or_splits_are_aligned() -> None:
    assert pairs("of the year 1984, in the U.S.") == [
        ("of", "ʌv"),
        ("the", "ðə"),
        ("year", "jˈɪɹ"),
        ("1984", "nˈIntinhˈʌndɹɪd ˈATi fˈɔɹ"),
        ("in", "ɪn"),
        ("the", "ðə"),
        ("U.S.", "jˌuˈɛs"),
    ]


def test_equal_numbers_of_words_and_groups_do_not_mislead() -> None:
    # "of the" becomes one group and "22nd" two, so the numbers agree by chance.
    assert pairs("of the 22nd") == [("of", "ʌv"), ("the", "ðə"), ("22nd", "twˈɛnti sˈɛkənd")]


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        (Language.SPANISH, "¡Hola! ¿Qué tal?", 3),
        (Language.FRENCH, "Bonjour le monde.", 3),
        (Language.HINDI, "नमस्ते दुनिया।", 2),
        (Language.ITALIAN, "Ciao mondo, come va?", 4),
        (Language.BRAZILIAN_PORTUGUESE, "Olá mundo.", 2),
    ],
)
def test_other_languages_are_spoken_and_aligned(language: Language, text: str, words: int) -> None:
    result = phonemize(text, language)
    assert len(result.words) == words
    assert "^" not in result.phonemes
    assert_spans_are_sound(text, result)


def test_a_comma_is_decimal_where_the_language_has_it_so() -> None:
    assert "," not in phonemize("1,5 kilo", Language.FRENCH).phonemes


def test_a_foreign_word_leaves_no_language_flag() -> None:
    assert phonemize("le weekend football", Language.FRENCH).phonemes == "lə wiːkˈɛnd fˈʊtbɔːl"


@pytest.mark.parametrize("language", [Language.JAPANESE, Language.MANDARIN_CHINESE])
def test_a_language_without_espeak_phonemes_is_refused(language: Language) -> None:
    with pytest.raises(G2PError, match=language.value):
        phonemize("hello", language)


def test_inline_pronunciation_is_verbatim_and_spans_the_word() -> None:
    text = "[Kokoro](/kˈOkəɹO/)'s [new voice](/njˈu vˈYs/) of [the](/ðiː/) sea"
    assert pairs(text) == [
        ("Kokoro", "kˈOkəɹO"),
        ("'s", "z"),
        ("new voice", "njˈu vˈYs"),
        ("of", "ʌv"),
        ("the", "ðiː"),
        ("sea", "sˈi"),
    ]
    assert phonemize(text).phonemes == "kˈOkəɹOz njˈu vˈYs ʌv ðiː sˈi"


def test_inline_pronunciation_gives_unreadable_words_a_sound() -> None:
    result = phonemize("[你好](/nihˈW/), world")
    assert result.phonemes == "nihˈW, wˈɜɹld"
    assert result.dropped == ""


@pytest.mark.parametrize("text", ["[word](/x", "[](/x/)", "[a](b)", "](/x/)", "[[a](/b/)]"])
def test_broken_inline_marks_are_plain_text(text: str) -> None:
    assert_spans_are_sound(text, phonemize(text))


@pytest.mark.parametrize("text", ["", "   ", "\t\n", "\u200b\ufeff", "\x00"])
def test_text_without_content_has_no_phonemes(text: str) -> None:
    assert phonemize(text) == Phonemes("")


@pytest.mark.parametrize("text", ["...!?", "—", "( )", '""'])
def test_punctuation_alone_has_no_words(text: str) -> None:
    result = phonemize(text)
    assert result.words == ()
    assert set(result.phonemes) <= set(MARKS + " ")


def test_emoji_are_read_by_name() -> None:
    assert phonemize("😀").phonemes == "ɡɹˈɪnɪŋ fˈAs"


@pytest.mark.parametrize("text", ["你好", "こんにちは", "สวัสดี", "\ufffd"])
def test_unreadable_scripts_are_dropped_and_reported(text: str) -> None:
    result = phonemize(f"one {text} two")
    assert result.phonemes == "wˈʌn tˈu"
    assert result.dropped == text


def test_a_lone_surrogate_is_dropped_and_reported() -> None:
    result = phonemize("one \ud83d two")
    assert result.phonemes == "wˈʌn tˈu"
    assert result.dropped == "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("odd", "plain"),
    [
        ("cafe\u0301", "café"),
        ("ﬁne", "fine"),
        ("ｆｕｌｌ", "full"),
        ("don’t", "don't"),
        ("one\ttwo\r\nthree", "one two three"),
        ("so\u00adft zero\u200bwidth", "soft zerowidth"),
        ("nul\x00l", "null"),
        ("𝒇ancy", "fancy"),
    ],
)
def test_odd_spellings_sound_like_plain_ones(odd: str, plain: str) -> None:
    assert phonemize(odd).phonemes == phonemize(plain).phonemes


def test_spans_point_into_the_text_as_given() -> None:
    text = "“Cafe\u0301\u200b”…\tﬁne"
    assert [word for word, _ in pairs(text)] == ["Cafe\u0301", "ﬁne"]


@pytest.mark.parametrize(("text", "sound"), [("9" * 60, "nˈIn"), ("x" * 200, "ɛks")])
def test_a_very_long_word_is_not_cut_short(text: str, sound: str) -> None:
    result = phonemize(text)
    assert result.phonemes.count(sound) == len(text)
    assert_spans_are_sound(text, result)


def test_a_long_text_without_marks_keeps_every_word() -> None:
    text = "word of the " * 300
    result = phonemize(text)
    assert len(result.words) == 900
    assert result.phonemes.count("wˈɜɹd") == 300
    assert_spans_are_sound(text, result)


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(), max_size=40), st.sampled_from([AMERICAN, BRITISH, Language.FRENCH]))
def test_any_text_gives_sound_spans(text: str, language: Language) -> None:
    assert_spans_are_sound(text, phonemize(text, language))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "a",
                "the",
                "of",
                "in",
                "1984",
                "U.S.",
                "it's",
                "be,",
                "not;",
                "“so”",
                "e.g.",
                "[x](/ks/)",
                "—",
                ".",
                "22nd",
            ]
        )
    )
)
def test_any_sentence_gives_sound_spans(words: list[str]) -> None:
    text = " ".join(words)
    assert_spans_are_sound(text, phonemize(text))


def test_cache_counts_hits_and_stays_bounded() -> None:
    g2p = EspeakG2P(cache_size=2)
    for text in ("one", "two", "one", "three", "four"):
        g2p.phonemize(text, AMERICAN)
    assert g2p.cache_info() == (1, 4, 2, 2)


def test_cache_tells_languages_apart() -> None:
    g2p = EspeakG2P()
    assert g2p.phonemize("over", AMERICAN) != g2p.phonemize("over", BRITISH)
    assert g2p.cache_info().misses == 2


def test_no_cache_when_its_size_is_zero() -> None:
    g2p = EspeakG2P(cache_size=0)
    g2p.phonemize("one", AMERICAN)
    g2p.phonemize("one", AMERICAN)
    assert g2p.cache_info().hits == 0


def test_threads_get_the_same_phonemes_as_one_after_the_other() -> None:
    texts = [f"sentence number {n} of the {1900 + n}s" for n in range(40)]
    languages = [AMERICAN, BRITISH, Language.FRENCH, Language.ITALIAN]
    jobs = [(text, languages[i % 4]) for i, text in enumerate(texts)]
    expected = [EspeakG2P(cache_size=0).phonemize(*job) for job in jobs]
    shared = EspeakG2P()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda job: shared.phonemize(*job), jobs)) == expected


def test_unknown_rules_are_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.2"):
        EspeakG2P(rules="0.2")


def test_nothing_is_printed_and_no_logger_speaks() -> None:
    code = (
        "from koe.g2p import EspeakG2P; from koe.voice import Language;"
        "EspeakG2P().phonemize('le weekend of the 1984, 你好', Language.FRENCH)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_another_user_of_phonemizer_keeps_its_library() -> None:
    code = (
        "from phonemizer.backend.espeak.wrapper import EspeakWrapper; EspeakWrapper.set_library('their-own');"
        "from koe.g2p import EspeakG2P; from koe.voice import Language;"
        "EspeakG2P().phonemize('Hello', Language.AMERICAN_ENGLISH); print(EspeakWrapper.library())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "their-own\n"


@pytest.mark.parametrize(
    ("value", "language"),
    [("a", AMERICAN), ("EN-GB", BRITISH), ("p", Language.BRAZILIAN_PORTUGUESE), ("british_english", BRITISH)],
)
def test_languages_are_found_by_code_letter_and_name(value: str, language: Language) -> None:
    assert Language.parse(value) is language


def test_an_unknown_language_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidRequestError, match=r"'klingon'.*en-us"):
        Language.parse("klingon")


@pytest.mark.parametrize(
    ("voice", "language"),
    [
        ("af_heart", AMERICAN),
        (Voice.GEORGE, BRITISH),
        ("ff_siwis", Language.FRENCH),
        ("mine", AMERICAN),
        ("brilliant", AMERICAN),
    ],
)
def test_the_voice_decides_the_language(voice: str, language: Language) -> None:
    assert Language.of_voice(voice) is language
