# SPDX-License-Identifier: Apache-2.0
"""G2P of the core, with espeak-ng loaded at run time, against the Python path through phonemizer."""

import os
import subprocess
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import espeakng_loader
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koe import _core
from koe.g2p import RULES_V0_19, RULES_V1_0, EspeakG2P
from koe.g2p.espeak import LANGUAGES
from koe.voice import Language

TEXTS = [
    "Hello, this is a test of the Kokoro TTS system.",
    "of the year 1984, in the U.S. — Dr. Smith (aged 42) said: “1,000,000 of 3.14!”",
    "[Kokoro](/kˈOkəɹO/)'s [new voice](/njˈu vˈYs/) of [the](/ðiː/) sea",
    "See https://example.com/a?b=c, e.g. pages 1,2; 10:30 … twenty hundred ninety cats etc. They're here.",
    "cafe\u0301 ﬁne 𝒇ancy ｆｕｌｌ don’t 😀 你好 one\ttwo\u200b\ufeff ½ x² №5 ℃",
    "a\u0327\u0301 q\u0323\u0307 \u1e9b\u0323 A\u030a\u0301 \u212b\u0301 가\u0301 नमस्ते दुनिया। Привет",
    "... . . . -- – - !? ,, ;; ‥ «»",
    "x" * 120 + " " + "word of the " * 40,
    "",
    " \n ",
]


@pytest.fixture(scope="session")
def library() -> str:
    return str(espeakng_loader.get_library_path())


@pytest.mark.parametrize("rules", [RULES_V1_0, RULES_V0_19])
@pytest.mark.parametrize("language", LANGUAGES)
def test_phonemes_words_and_what_is_dropped_are_those_of_the_python_path(
    library: str, language: Language, rules: str
) -> None:
    espeak = _core.Espeak(library, rules=rules)
    python = EspeakG2P(rules)
    for text in TEXTS:
        expected = python.phonemize(text, language)
        phonemes, words, dropped = espeak.phonemize(text, language.value)
        assert phonemes == expected.phonemes
        assert words == [(w.text_start, w.text_end, w.phoneme_start, w.phoneme_end) for w in expected.words]
        assert dropped == expected.dropped


def test_threads_and_languages_do_not_disturb_each_other(library: str) -> None:
    espeak = _core.Espeak(library)
    jobs = [(f"sentence number {n} of the {1900 + n}s", LANGUAGES[n % 4].value) for n in range(32)]
    expected = [_core.Espeak(library).phonemize(*job) for job in jobs]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda job: espeak.phonemize(*job), jobs)) == expected


def test_invalid_utf8_is_read_as_replacement_characters(library: str) -> None:
    assert _core.Espeak(library).phonemize(b"one \xff two") == _core.Espeak(library).phonemize("one \ufffd two")


@pytest.mark.parametrize("language", ["ja", "zh", "", "EN-US", "klingon"])
def test_a_language_without_phonemes_is_an_error(library: str, language: str) -> None:
    with pytest.raises(_core.Error, match="no phonemes that Kokoro knows"):
        _core.Espeak(library).phonemize("hello", language)


def test_unknown_rules_are_refused(library: str) -> None:
    with pytest.raises(ValueError, match=r"'2\.0'"):
        _core.Espeak(library, rules="2.0")


def test_a_missing_library_is_an_error_that_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(_core.Error, match=r"no espeak-ng.*missing\.so.*KOE_ESPEAK.*phonemes can be spoken without it"):
        _core.Espeak(tmp_path / "missing.so")


def test_another_library_is_not_espeak() -> None:
    with pytest.raises(_core.Error, match="not espeak-ng"):
        _core.Espeak(_core.__file__)


def run(code: str, library: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = str(Path(_core.__file__).parent.parent)
    return subprocess.run(
        [sys.executable, "-c", code, library],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_missing_data_is_an_error_and_not_the_end_of_the_process(library: str, tmp_path: Path) -> None:
    code = (
        "import sys; from koe import _core\n"
        "try: _core.Espeak(sys.argv[1], data=sys.argv[1] + '.nothing')\n"
        "except _core.Error as error: print(error)"
    )
    done = run(code, library)
    assert done.returncode == 0, done.stderr
    assert "KOE_ESPEAK_DATA" in done.stdout


def test_the_environment_names_the_library(library: str) -> None:
    done = run("from koe import _core; print(_core.Espeak().phonemize('sea')[0])", library, KOE_ESPEAK=library)
    assert done.stdout == "sˈi\n", done.stderr


MARKS_AND_BASES = [*map(chr, range(0x300, 0x370)), *"aeiouAEOcnsqyzαωϊйҋÅẛǖ\u212b"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(MARKS_AND_BASES), min_size=2, max_size=12).map("".join))
def test_marks_are_composed_as_unicode_says(text: str) -> None:
    text = "x" + text + "x"
    spoken: list[str] = []
    _core.phonemize(text, "en-us", lambda phrase: spoken.append(phrase) or "a", lambda word: "a")
    # A letterlike symbol by itself spells a letter, too.
    assert "".join(spoken) == unicodedata.normalize("NFC", text).replace("\u212b", "Å")


def test_what_a_speaker_raises_comes_out() -> None:
    def fail(phrase: str) -> str:
        raise LookupError(phrase)

    with pytest.raises(LookupError, match="hello"):
        _core.phonemize("hello, world", "en-us", fail, fail)
