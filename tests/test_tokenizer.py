# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from koe import _core

VOCABULARY = {character: index for index, character in enumerate("$;:,.!? abcdefhijklmnopæɑəɛɪʃʊˈˌː\U0001d44e")}


@pytest.fixture(scope="module")
def tokenizer():
    return _core.Tokenizer(VOCABULARY)


def test_each_known_character_becomes_its_id(tokenizer):
    encoding = tokenizer.encode("həlˈoʊ, \U0001d44e!")
    assert encoding.ids.dtype == np.int64
    assert encoding.ids.tolist() == [VOCABULARY[c] for c in "həlˈoʊ, \U0001d44e!"]
    assert encoding.indices.tolist() == list(range(10))
    assert encoding.dropped == []


def test_unknown_characters_are_reported_with_their_index(tokenizer):
    encoding = tokenizer.encode("həX\0ləʊ😀!")
    assert encoding.dropped == [("X", 2), ("\0", 3), ("😀", 7)]
    assert encoding.indices.tolist() == [0, 1, 4, 5, 6, 8]


def test_the_pad_character_cannot_be_forged(tokenizer):
    assert tokenizer.encode("a$b").dropped == [("$", 1)]
    assert "$" not in tokenizer


@given(st.text())
def test_every_character_is_a_token_or_dropped(text):
    tokenizer = _core.Tokenizer(VOCABULARY)
    encoding = tokenizer.encode(text)
    known = [(i, c) for i, c in enumerate(text) if VOCABULARY.get(c)]
    assert encoding.indices.tolist() == [i for i, _ in known]
    assert encoding.ids.tolist() == [VOCABULARY[c] for _, c in known]
    clean = "".join("\ufffd" if 0xD800 <= ord(c) < 0xE000 else c for c in text)
    assert encoding.dropped == [(c, i) for i, c in enumerate(clean) if not VOCABULARY.get(c)]
    assert tokenizer.count(text) == len(encoding) == len(known)
    assert tokenizer.decode(encoding.ids) == "".join(c for _, c in known)


# Bytes near the borders of what UTF-8 allows are likelier to find a wrong border than any byte is.
UTF8_BYTES = st.lists(
    st.sampled_from([0x00, 0x61, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF])
    | st.sampled_from([0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF])
).map(bytes)


@given(UTF8_BYTES | st.binary())
def test_bytes_are_read_as_the_standard_decoder_reads_them(data):
    tokenizer = _core.Tokenizer({"a": 1})
    text = data.decode("utf-8", "replace")
    encoding = tokenizer.encode(data)
    assert encoding.dropped == [(c, i) for i, c in enumerate(text) if c != "a"]
    assert encoding.indices.tolist() == [i for i, c in enumerate(text) if c == "a"]


def test_a_lone_surrogate_is_one_dropped_character(tokenizer):
    assert tokenizer.encode("a\ud800b\udfffc").dropped == [("\ufffd", 1), ("\ufffd", 3)]


def test_decode_leaves_out_pads(tokenizer):
    assert tokenizer.decode([0, VOCABULARY["a"], VOCABULARY["b"], 0]) == "ab"
    assert tokenizer.decode([]) == ""


@pytest.mark.parametrize("wrong", [-1, 999, 70_000, 2**62])
def test_decode_refuses_unknown_ids(tokenizer, wrong):
    with pytest.raises(ValueError, match=str(wrong)):
        tokenizer.decode([1, wrong])


@pytest.mark.parametrize("vocabulary", [{}, {"a": -1}, {"a": 65_536}, {"ab": 1}, {"": 1}, {"\ud800": 1}, {3: 1}])
def test_a_bad_vocabulary_is_refused(vocabulary):
    with pytest.raises(ValueError, match="vocabulary"):
        _core.Tokenizer(vocabulary)


def test_characters_may_share_an_id():
    tokenizer = _core.Tokenizer({"g": 1, "ɡ": 1})
    assert tokenizer.encode("gɡ").ids.tolist() == [1, 1]
    assert tokenizer.decode([1]) == "g"


def test_the_vocabulary_is_given_back_unchanged(tokenizer):
    assert tokenizer.vocabulary == VOCABULARY
    assert len(tokenizer) == len(VOCABULARY)


def test_arrays_outlive_their_encoding(tokenizer):
    ids = tokenizer.encode("abc" * 1000).ids
    assert ids.tolist() == [VOCABULARY[c] for c in "abc" * 1000]
    assert not ids.flags.writeable


@pytest.mark.parametrize("wrong", [None, 3, ["a"]])
def test_only_text_is_encoded(tokenizer, wrong):
    with pytest.raises(TypeError, match="str or bytes"):
        tokenizer.encode(wrong)
