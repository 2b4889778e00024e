# SPDX-License-Identifier: Apache-2.0
import re
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from koe import _core


def cut(text, spans):
    """The spans' texts, after the check that they are contiguous and cover the text."""
    assert [begin for begin, _ in spans] == [0, *(end for _, end in spans)][: len(spans)]
    assert not spans or spans[-1][1] == len(text)
    assert all(begin < end for begin, end in spans)
    return [text[begin:end] for begin, end in spans]


def sentences(text):
    return [piece.strip() for piece in cut(text, _core.split_sentences(text))]


def clauses(text, min_chars=1):
    return [piece.strip() for piece in cut(text, _core.split_clauses(text, min_chars))]


def stream(parts, **options):
    """All pieces of a text that comes in parts, those of flush last."""
    splitter = _core.StreamSplitter(**options)
    pieces = [piece for part in parts for piece in splitter.push(part)]
    return pieces + splitter.flush()


# "|" is where a sentence ends.
@pytest.mark.parametrize(
    "marked",
    [
        "Hello there.| How are you?| Fine!",
        "Mr. Smith met Mrs. Jones and Dr. Who on St. John's Day.| Then they left.",
        "Bring pens, paper, etc. and go.| It ends with etc.| The end.",
        "Use a tool, e.g. a saw, i.e. this one.| Or Apples vs. Pears.",
        "No. 5 is alive.| No.| I won't.",
        "The U.S. Army won.| He lives in the U.S.| The end.",
        "At 5 p.m. we go.| It was 6 a.m.| Bob left.| At 7 p.m. EST it ends.",
        "J. R. R. Tolkien and C. S. Lewis wrote.| They did.",
        "He got a Ph.D. in Art.| She has an M.D. too.",
        "In Jan. 2020 he left.| He sat.| Then he left.",
        "See Fig. 3 and pp. 4.| Done.",
        "Pi is 3.14.| Version 1.2.3 is out.| It costs 5.| Right?",
        "See https://a.example/b.c?Q=1.X!Y for more.| Mail a.b@c.example.| Or www.x.example?Q.| Bye",
        "Node.js and main.cpp and .NET stay whole.| Yes",
        "Well... maybe.| Well…| Yes.| So…he went.| What...?!| OK",
        'He said "Hi."| Then left.| "Really?" she asked.| “Stop.”| He ran.',
        "(See this.)| Next.| He (Bob, Jr.) left.| [Done.]| End",
        "Wow!!| Why?!| Yes!|No?| a!=b, wait!what",
        "end.[12]| Next one.[3]| Last",
        "*Bold.*| **Hello!**| _There._| OK",
        "Great!| 😀 Next.| Cool.😀| Yes",
        "1. Buy milk.| 2. Sell it.| To do: 1. Eat.| 2. Sleep.",
        "Say [Dr. Foo. Bar](/fə ˈnim. z) a/) now.| Then `a. B` end.| [x. Y](http://q.example/) ok",
        "Not closed [a.| B](/c.| Next `one.| Two",
        "你好。|我很好！|真的？|「はい。」と言った。|次です。|「終わり。」|はい。",
        "他说hello.|然后 3.5。|好",
        "مرحبا؟| نعم۔| لا",
        "नमस्ते।| फिर",
        "¿Qué?| ¡Sí!| Bien",
        "Где Москва?| Да.| Нет",
    ],
)
def test_sentences_end_where_a_reader_ends_them(marked):
    assert sentences(marked.replace("|", "")) == [part.strip() for part in marked.split("|")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A line that is\nwrapped here. Yes", ["A line that is\nwrapped here.", "Yes"]),
        ("Mr.\nSmith", ["Mr.\nSmith"]),
        ("A title\n\nA paragraph", ["A title", "A paragraph"]),
        ("A title\r\n \t\r\nA paragraph\r\nwrapped", ["A title", "A paragraph\r\nwrapped"]),
        ("etc.\n\nand", ["etc.", "and"]),
        ("# Head\ntext", ["# Head", "text"]),
        ("text\n## Head", ["text", "## Head"]),
        ("#tag in\nprose", ["#tag in\nprose"]),
        ("- one\n- two\n  goes on\n* three\nprose", ["- one", "- two\n  goes on", "* three", "prose"]),
        ("1. one\n2) two\n(3) three\na) four", ["1. one", "2) two", "(3) three", "a) four"]),
        ("Items:\none", ["Items:", "one"]),
        ("| a | b |\n| c | d |", ["| a | b |", "| c | d |"]),
        ("> a quote\n> goes on\nprose", ["> a quote\n> goes on", "prose"]),
        ("Title\n=====\ntext", ["Title", "=====\ntext"]),
        ("code:\n```py\nx\n```\nafter", ["code:", "```py", "x", "```\nafter"]),
        ("page\fpage", ["page", "page"]),
        ("a\u2029b", ["a", "b"]),
    ],
)
def test_line_breaks_end_a_sentence_only_where_the_line_ends_so(text, expected):
    assert sentences(text) == expected


@pytest.mark.parametrize(
    "marked",
    [
        "Well,| I have 1,000 dollars:| at 10:30 (maybe later),| we go;| fine.",
        "All of us—|you too—|go.",
        "A 10–20 range –| fine -| not well-known --| well--|yes.",
        "A bracket (like this)| is one,)| too.",
        '"Hi,"| he said.',
        "你好，|世界；|再见。",
        "See http://a.example/b,c:d;e now.",
    ],
)
def test_clauses_end_at_their_marks_but_not_inside_numbers(marked):
    assert clauses(marked.replace("|", "")) == [part.strip() for part in marked.split("|")]


def test_a_clause_needs_its_least_length():
    assert clauses("Red, green, blue, and a lot more. No.", 10) == ["Red, green,", "blue, and a lot more.", "No."]


@pytest.mark.parametrize(
    "text", ["", " ", "\n\n", "...", "?!", "😀", "👩‍👩‍👧‍👦", "\0", "\t", "—", "(", "[", "`", "#", "- "]
)
def test_text_with_nothing_to_say_is_at_most_one_piece(text):
    assert cut(text, _core.split_sentences(text)) == ([text] if text else [])


def test_spaces_at_the_end_belong_to_the_last_sentence():
    assert cut("Hi.  \n", _core.split_sentences("Hi.  \n")) == ["Hi.  \n"]
    assert stream(["Hi.  \n"]) == ["Hi.", "  \n"]


MARKS = [*".!?…,;:—–-()[]`\"'”“*_#>|@/\\。！，」「と", " ", "  ", "\n", "\n\n", "\r\n", "\t", "\0"]
WORDS = re.findall(
    r"\S+", "Mr Dr U.S e.g p.m EST No J I The Although word Word 3 14 1.2.3 http://a.b/ www.a.b a@b.c ](/ /) ]("
)
OTHERS = ["...", "- ", "1. ", "```", "\u0301", "\u200d", "😀", "👩\u200d👧", "你好", "שלום", "é"]
PARTS = st.sampled_from([*MARKS, *WORDS, *OTHERS])
SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
TEXTS = st.lists(PARTS, max_size=40).map("".join) | st.text(max_size=60)


@given(st.data(), TEXTS, st.integers(1, 90), st.sampled_from([0, 1, 8, 30]))
@settings(max_examples=600, deadline=None)
def test_pieces_do_not_depend_on_how_the_text_is_cut(data, text, max_chars, first_clause):
    text = "".join("\ufffd" if 0xD800 <= ord(c) < 0xE000 else c for c in text)
    options = {"max_chars": max_chars, "first_clause_min_chars": first_clause}
    whole = stream([text], **options)
    assert "".join(whole) == text
    assert all(whole)
    assert all(len(piece) <= max_chars for piece in whole)
    assert stream(text, **options) == whole
    encoded = text.encode()
    places = sorted(data.draw(st.sets(st.integers(0, len(encoded)), max_size=12)))
    bounds = [0, *places, len(encoded)]
    assert stream([encoded[a:b] for a, b in pairwise(bounds)], **options) == whole


@given(TEXTS)
@example("a\n \n")
@settings(max_examples=300, deadline=None)
def test_a_whole_text_is_split_as_a_stream_is(text):
    text = "".join("\ufffd" if 0xD800 <= ord(c) < 0xE000 else c for c in text)
    pieces = stream(text)
    if len(pieces) > 1 and not pieces[-1].strip(SPACES):
        pieces[-2:] = ["".join(pieces[-2:])]
    assert cut(text, _core.split_sentences(text)) == pieces
    cut(text, _core.split_clauses(text))


@given(st.binary(max_size=40), st.integers(0, 40))
def test_bytes_that_are_not_utf8_are_replaced_wherever_they_are_cut(data, place):
    assert "".join(stream([data[:place], data[place:]])) == data.decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (["Pi is 3.", "14 or so. "], [[], ["Pi is 3.14 or so."]]),
        (["I saw Dr", ".", " ", "Smith. "], [[], [], [], ["I saw Dr. Smith."]]),
        (["Well..", ". ", "maybe. "], [[], [], ["Well... maybe."]]),
        (["Hello.", " ", "You. "], [[], ["Hello."], [" You."]]),
        (["Hello!\n"], [["Hello!"]]),
        (["end.", "[1", "] "], [[], [], ["end.[1]"]]),
        (["你好。", "我"], [[], ["你好。"]]),
    ],
)
def test_only_what_is_ambiguous_is_held_back(parts, expected):
    splitter = _core.StreamSplitter()
    assert [splitter.push(part) for part in parts] == expected


def test_the_first_piece_may_be_a_clause():
    text = "Oh, once upon a time, there was a king, and a queen, too. The end, then."
    pieces = [piece.strip() for piece in stream(text, first_clause_min_chars=10)]
    assert pieces == ["Oh, once upon a time,", "there was a king, and a queen, too.", "The end, then."]


def test_flush_and_reset_start_anew():
    splitter = _core.StreamSplitter(first_clause_min_chars=1)
    assert splitter.push("One, two. Three") == ["One,", " two."]
    assert splitter.pending == 6
    assert splitter.flush() == [" Three"]
    assert splitter.flush() == []
    assert splitter.push("One, two") == ["One,"]
    splitter.reset()
    assert splitter.pending == 0
    assert splitter.push("Four, ") == ["Four,"]


def test_bytes_of_one_character_may_come_apart():
    splitter = _core.StreamSplitter()
    assert [splitter.push(bytes([byte])) for byte in "é。é".encode()] == [[], [], [], [], [], [], ["é。"]]
    assert splitter.flush() == ["é"]


MEGABYTES = [
    *("word ", "a", "[a", "`", ".", "\n", " ", "a\n", '"', "a.", "[[`a](/", ", ", "Dr. ", "“", "\u0301", "\u200d"),
    *("你", "http://", "[a](/b ", "[Dr. A](", "!", "1.", "- ", "a… ", "😀"),
]


@pytest.mark.parametrize("unit", MEGABYTES)
def test_a_text_without_a_boundary_is_cut_at_the_limit_and_memory_stays_bounded(unit):
    text = unit * (300_000 // len(unit))
    splitter = _core.StreamSplitter()
    pieces, most = [], 0
    for start in range(0, len(text), 997):
        pieces += splitter.push(text[start : start + 997])
        most = max(most, splitter.pending)
    pieces += splitter.flush()
    assert "".join(pieces) == text
    assert max(map(len, pieces)) <= 2000
    assert most <= 3000 + 997


def test_a_long_text_is_cut_after_a_clause_or_before_a_word():
    assert stream(["aaa bbb, ccc ddd"], max_chars=12) == ["aaa bbb,", " ccc ddd"]
    assert stream(["aaa bbb ccc ddd"], max_chars=12) == ["aaa bbb ccc", " ddd"]
    assert stream(["a" * 11 + "e\u0301" + "a" * 3], max_chars=12) == ["a" * 11, "e\u0301" + "a" * 3]


def test_a_lone_surrogate_is_replaced():
    assert stream(["a\ud800. B"]) == ["a\ufffd.", " B"]
    assert _core.split_sentences("a\ud800. B") == [(0, 3), (3, 5)]


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match="max_chars"):
        _core.StreamSplitter(max_chars=0)
    with pytest.raises(ValueError, match="min_chars"):
        _core.split_clauses("a", 0)
    with pytest.raises(TypeError, match="str or bytes"):
        _core.StreamSplitter().push(None)
