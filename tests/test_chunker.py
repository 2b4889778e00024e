# SPDX-License-Identifier: Apache-2.0
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koe import _core

LETTERS = "abdefhijklmnopstuvwzæðŋɑɔəɛɪʃʊʌʒθˈˌː"
VOCABULARY = {character: index for index, character in enumerate(' ;:,.!?—…"()“”' + LETTERS, start=1)}
TOKENIZER = _core.Tokenizer(VOCABULARY)


def words(n, seed=0):
    generator = random.Random(seed)
    return ["".join(generator.choices("abdefhijklmnop", k=generator.randint(2, 9))) for _ in range(n)]


def chunk_texts(sentences, chunks):
    """Each chunk as it is spoken: pieces of different sentences joined by a space where neither has one."""
    texts = []
    for chunk in chunks:
        text, last = "", None
        for sentence, begin, end in chunk:
            piece = sentences[sentence][begin:end]
            if last is not None and last != sentence and not (text[-1].isspace() or piece[0].isspace()):
                text += " "
            text, last = text + piece, sentence
        texts.append(text)
    return texts


def chunk(sentences, **options):
    """Chunks' texts, after the checks that hold for every input."""
    chunks = _core.chunk_phonemes(sentences, TOKENIZER, **options)
    pieces = list(itertools.chain.from_iterable(chunks))
    assert all(chunks)
    assert all(begin < end for _, begin, end in pieces)
    covered = [(s, i) for s, begin, end in pieces for i in range(begin, end)]
    assert covered == [(s, i) for s, text in enumerate(sentences) for i in range(len(text))]
    texts = chunk_texts(sentences, chunks)
    assert all(TOKENIZER.count(text) <= options.get("max_tokens", 510) for text in texts)
    return texts


PHONEMES = st.text(st.sampled_from(LETTERS + "    ,.!?—…★\u0303\t"), max_size=120)


@given(st.lists(PHONEMES | st.text(max_size=30), max_size=12), st.integers(1, 60), st.integers(1, 80))
@settings(max_examples=300, deadline=None)
def test_chunks_cover_any_input_in_order_within_the_limit(sentences, max_tokens, target_tokens):
    sentences = ["".join("\ufffd" if 0xD800 <= ord(c) < 0xE000 else c for c in s) for s in sentences]
    chunk(sentences, max_tokens=max_tokens, target_tokens=target_tokens)


@given(st.lists(st.sampled_from(["★", "a" * 20, "b" * 19, "c", "", " ", "a b", "d "]), max_size=30))
@settings(max_examples=200, deadline=None)
def test_joining_spaces_and_unknown_characters_never_break_the_limit(sentences):
    chunk(sentences, max_tokens=20, target_tokens=10)


@pytest.mark.parametrize("sentences", [[], [""], ["", "", ""]])
def test_nothing_gives_no_chunks(sentences):
    assert _core.chunk_phonemes(sentences, TOKENIZER) == []


def test_a_text_without_tokens_is_one_chunk():
    assert chunk(["★★", "", "☆"]) == ["★★ ☆"]


def test_a_short_text_is_one_chunk():
    assert chunk(["həlˈoʊ.", "bˈaɪ."]) == ["həlˈoʊ. bˈaɪ."]


def test_breaks_are_between_sentences_where_those_allow_it():
    sentences = [" ".join(words(12, seed)) + "." for seed in range(60)]
    assert all(text.endswith(".") for text in chunk(sentences))


def test_sentences_inside_one_string_are_seen():
    text = " ".join(" ".join(words(12, seed)) + "." for seed in range(60))
    chunks = _core.chunk_phonemes(text, TOKENIZER)
    assert len(chunks) > 5
    assert all(text[begin:end].rstrip().endswith(".") for ((_, begin, end),) in chunks)


def test_a_long_sentence_breaks_between_clauses():
    sentence = ", ".join(" ".join(words(8, seed)) for seed in range(40)) + "."
    assert all(text.rstrip()[-1] in ",." for text in chunk([sentence]))


def test_three_thousand_words_without_a_stop_break_between_words_into_even_chunks():
    sentence = " ".join(words(3000))
    texts = chunk([sentence])
    assert all(text.endswith(" ") for text in texts[:-1])
    sizes = [TOKENIZER.count(text) for text in texts]
    assert max(sizes) <= 410
    assert max(sizes) - min(sizes) <= 30


def test_a_word_longer_than_the_limit_is_broken_evenly():
    sizes = [len(text) for text in chunk(["a" * 600])]
    assert len(sizes) == 2
    assert abs(sizes[0] - sizes[1]) <= 16


def test_a_word_that_just_fits_stays_whole():
    texts = chunk(["b" * 510 + " ab", "a" * 510])
    assert "b" * 510 in [text.strip() for text in texts]
    assert "a" * 510 in texts


def test_length_marks_and_stress_stay_with_their_vowel():
    texts = chunk(["ˈaːt" * 400])
    assert all(text[0] != "ː" and text[-1] != "ˈ" for text in texts)


def test_a_short_last_sentence_joins_the_one_before_it():
    texts = chunk([" ".join(words(55)) + ".", "ˈoʊ."])
    assert len(texts) == 1


@pytest.mark.parametrize("n_words", range(5, 260, 5))
def test_no_chunk_is_a_stub_or_far_above_400(n_words):
    generator = random.Random(n_words)
    sentences, rest = [], words(n_words, n_words)
    while rest:
        n = generator.randint(1, 30)
        sentences.append(" ".join(rest[:n]) + ".")
        rest = rest[n:]
    sizes = [TOKENIZER.count(text) for text in chunk(sentences)]
    assert max(sizes) <= 450
    assert len(sizes) == 1 or min(sizes) >= 20


def test_a_smaller_limit_is_kept():
    assert max(TOKENIZER.count(text) for text in chunk([" ".join(words(300))], max_tokens=50)) <= 50


def test_a_hundred_thousand_words_are_covered():
    sentence = " ".join(words(100_000))
    chunks = _core.chunk_phonemes([sentence], TOKENIZER)
    assert "".join(sentence[b:e] for pieces in chunks for _, b, e in pieces) == sentence


@pytest.mark.parametrize("text", ["★" * 1_000_000, "a" * 1_000_000, " " * 1_000_000, "a " * 500_000, "★ " * 500_000])
def test_a_megabyte_of_the_same_is_covered(text):
    chunks = _core.chunk_phonemes(text, TOKENIZER)
    assert chunks[0][0][1] == 0
    assert chunks[-1][-1][2] == len(text)


@pytest.mark.parametrize("options", [{"max_tokens": 0}, {"max_tokens": 511}, {"max_tokens": 10, "target_tokens": 0}])
def test_limits_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="tokens is"):
        _core.chunk_phonemes(["a"], TOKENIZER, **options)


def test_the_division_is_the_same_every_time():
    sentences = [" ".join(words(20, seed)) + "." for seed in range(30)]
    assert len({str(_core.chunk_phonemes(sentences, TOKENIZER)) for _ in range(3)}) == 1
