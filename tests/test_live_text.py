# SPDX-License-Identifier: Apache-2.0
"""From tokens to pieces: Markdown, tags, and where the cuts fall."""

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import koe
from koe.live.markup import MarkupReader
from koe.live.pieces import Boundary, Piece, TextStream
from koe.prosody import EMPHASIS, Closing, Directions, Opening, Pause, Prosody, Span

ANSWER = """# A *short* answer

Dr. Smith paid $3.50, i.e. **half** the price, at https://www.shop.example/a?b=c. Then he left…

- First, `buy()` milk;
- [x] second, see [the list](https://list.example/x_(y)).
1. Third: say "Hi."

```python
def f(): return "not read"
```

| Name | Age |
|------|-----|
| Ann  | 30  |

> It’s 2*3 = 6 &amp; snake_case, 日本 😀 naïve.
![a chart](c.png) <br> Done[^1]. [pause:0.5s] [emphasis]Really[/emphasis] [Kokoro](/kˈOkəɹO/) ends.
---
Last line
"""


def read(parts: list[str], markdown: bool = True) -> tuple[str, list[int], list[tuple[int, object]]]:
    """All of the clean text, its origins, and the tags by their place in it."""
    reader = MarkupReader(markdown)
    text, origins, tags = "", [], []
    for clean in [*(reader.push(part) for part in parts), reader.flush()]:
        tags += [(len(text) + position, tag) for position, tag in clean.tags]
        text += clean.text
        origins += clean.origins
    assert reader.pending == 0
    assert len(origins) == len(text)
    assert origins == sorted(origins)
    return text, origins, tags


def cut(text: str, places: list[int]) -> list[str]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[a:b] for a, b in pairwise(edges)]


def pieces_of(parts: list[str | bytes], **options: object) -> list[Piece]:
    stream = TextStream(**options)
    return [piece for part in parts for piece in stream.push(part)] + stream.flush()


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("**Bold**, *slanted*, ***both***, __under__, _one_ and ~~out~~.", "Bold, slanted, both, under, one and out."),
        ("2 * 3, 2*3, 5 ** 2, a * b", "2 * 3, 2*3, 5 ** 2, a * b"),
        ("snake_case and __init__ and ~5", "snake_case and init and ~5"),
        ("Use `a_b*c` or ``x ` y``.", "Use a_b*c or x  y."),
        ("# Head\ntext", "Head.\n\ntext"),
        ("text\n## Head #1\nmore", "text\n\nHead #1.\n\nmore"),
        ("#tag and ####### seven", "#tag and ####### seven"),
        ("- one\n- two\n  goes on\nprose", "one.\n\ntwo\n  goes on.\n\nprose"),
        ("* [x] done\n+ [ ] open\n• dot", "done.\n\nopen.\n\ndot"),
        ("1. one\n2. two!\n\nA title\n\nprose\nwrapped\n - x",
         "1. one\n2. two!\n\nA title.\n\nprose\nwrapped.\n \n\nx"),
        ("> quoted\n>> deep", " quoted\n deep"),
        ("a\n---\nb\n***\nc\n===\nd", "a\n\n\nb\n\n\nc\n\n\nd"),
        ("-- a dash - here", "-- a dash - here"),
        ("See:\n```py\nx = 1\n```\nNext.", "See:\n\n\nNext."),
        ("~~~\n```\n~~~\nb", "\nb"),
        ("````\n```\n````\nb", "\nb"),
        ("```inline``` text", "inline text"),
        ("```\nnever closed", ""),
        ("[a link](https://x.example/a_(b)) here", "a link here"),
        ("[ref][1], [*b*](u \"t\"), [], [x], [12]", "ref, b, [], [x], [12]"),
        ("![alt](i.png)![](j.png)!", "alt!"),
        ("a note[^2].", "a note."),
        ("[Kokoro](/kˈOkəɹO/) speaks", "[Kokoro](/kˈOkəɹO/) speaks"),
        ("Go to https://www.example.com/a/b?c=d#e. Now (see http://user@x.example:80/).",
         "Go to example.com. Now (see x.example)."),
        ("www.example.org, <https://a.example/b>, <me@a.example>", "example.org, a.example, me@a.example"),
        ("hidden www what http: httpx", "hidden www what http: httpx"),
        ("a<br>b <b class='x'>c</b> <!-- no --> 1 < 2 <3", "a\nb c  1 < 2 <3"),
        ("AT&amp;T &lt;x&gt; &#233; &nosuch; R&D", "AT&T <x> é &nosuch; R&D"),
        ("\\*not\\* a \\# mark \\n", "*not* a # mark \\n"),
        ("| a | b |\n|---|:-:|\n| 1 | 2 |\nend", "a, b.\n\n\n1, 2.\n\nend"),
        ("a | b", "a | b"),
        ("\x00a\x07b\x1b\r\nc\rd\te", "ab\nc\nd\te"),
        ("\ud83d\ude00 and \ud83d alone \ude00", "😀 and \ufffd alone \ufffd"),
    ],
)  # fmt: skip
def test_markdown_becomes_what_a_reader_would_say(written: str, spoken: str) -> None:
    assert read([written])[0].strip("\n") == spoken.strip("\n")


def test_plain_text_keeps_its_marks() -> None:
    assert read(["# *a* `b` https://x.example [pause:1s]!"], markdown=False)[0] == "# *a* `b` https://x.example !"


def test_each_character_knows_where_it_comes_from() -> None:
    text, origins, _ = read([ANSWER])
    for word in ("short", "$3.50", "half", "shop.example", "buy", "milk", "the", "naïve", "chart", "Really", "Last"):
        place = text.index(word)
        assert "".join(ANSWER[i] for i in origins[place : place + len(word)]) == word


def test_tags_are_taken_out_and_reported() -> None:
    text, _, tags = read(["a[pause:500ms]b [speed:1.5]c[/speed] [pitch:-2]d[/pitch][emphasis]e[/emphasis]"])
    assert text == "ab c de"
    assert tags == [
        (1, 0.5),
        (3, Opening("speed", Prosody(speed=1.5))),
        (4, Closing("speed")),
        (5, Opening("pitch", Prosody(pitch=-2))),
        (6, Closing("pitch")),
        (6, Opening("emphasis", EMPHASIS)),
        (7, Closing("emphasis")),
    ]


@pytest.mark.parametrize(
    "tag", ["[pause:]", "[pause:x]", "[pause]", "[speed]", "[pitch:2", "[Emphasis]", "[pause:\n1s]"]
)
def test_what_is_no_tag_is_text(tag: str) -> None:
    text, _, tags = read([f"a {tag} b"])
    assert (text, tags) == (f"a {tag} b", [])


@pytest.mark.parametrize("tag", ["[pause:61s]", "[pause:0s]", "[speed:9]", "[pitch:-13]", "[energy:99]"])
def test_tags_out_of_range_are_passed_over_or_refused(tag: str) -> None:
    stream = TextStream()
    stream.push(f"a {tag} b")
    assert [refused for refused, _ in stream.refused] == [tag]
    with pytest.raises(koe.InvalidRequestError, match=r"at most|from"):
        TextStream(strict=True).push(f"a {tag} b")


def test_nested_tags_that_are_out_of_range_together_are_refused() -> None:
    with pytest.raises(koe.InvalidRequestError, match="speed"):
        TextStream(strict=True).push("[speed:3]a[speed:3]b")


MARKUP = st.text(
    alphabet=st.sampled_from(list("ab1 \n\r\t*_`~#->|[](){}!<>/&;:.,\\x\"'^=+ https://w.é日😀\ud83d\ude00\x00")),
    max_size=80,
) | st.lists(
    st.sampled_from(
        ["```", "\n", "- ", "[a](", "[a](/b/)", "http://", "www.", "<!--", "-->", "&amp;", "**", "| a |", "|--|\n",
         "[pause:1s]", "[speed:2]", "[/speed]", "# ", "word ", "Dr. ", "3.", "14", "…", "![", "](", ")", "<b>", "\r\n",
         "> ", "---", " "]
    ),
    max_size=25,
).map("".join)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(text=MARKUP, places=st.lists(st.integers(0, 200), max_size=8))
@example(text="  ---\nx", places=[2])
@example(text=":---:\n", places=[1])
@example(text="[pause:\n1s]", places=[8])
@example(text="| a", places=[1])
def test_markdown_reads_the_same_however_it_is_cut(text: str, places: list[int]) -> None:
    whole = read([text])
    assert read(cut(text, places)) == whole
    assert read(list(text)) == whole


@settings(max_examples=60, deadline=None)
@given(places=st.lists(st.integers(0, 2000), max_size=60))
def test_pieces_are_the_same_however_an_answer_is_cut(places: list[int]) -> None:
    whole = pieces_of([ANSWER])
    assert pieces_of(cut(ANSWER, places)) == whole


def test_pieces_are_the_same_by_characters_and_by_bytes() -> None:
    whole = pieces_of([ANSWER])
    data = ANSWER.encode()
    assert pieces_of(list(ANSWER)) == whole
    assert pieces_of([data[i : i + 1] for i in range(len(data))]) == whole


@settings(max_examples=200, deadline=None)
@given(text=MARKUP, places=st.lists(st.integers(0, 200), max_size=8))
def test_pieces_are_the_same_however_any_text_is_cut(text: str, places: list[int]) -> None:
    assert pieces_of(cut(text, places)) == pieces_of([text])


def test_pieces_of_an_answer() -> None:
    texts = [" ".join(piece.text.split()) for piece in pieces_of([ANSWER])]
    assert texts == [
        "A short answer. Dr. Smith paid $3.50,",
        "i.e. half the price, at shop.example.",
        "Then he left… First, buy() milk; second, see the list. 1. Third: say \"Hi.\"",
        "Name, Age. Ann, 30. It’s 2*3 = 6 & snake_case, 日本 😀 naïve. a chart Done. Really [Kokoro](/kˈOkəɹO/) ends.",
        "Last line",
    ]  # fmt: skip


def test_a_first_clause_without_enough_letters_waits_for_the_next() -> None:
    stream = TextStream()
    assert stream.push("Well, yes. I see, ") == []
    (piece,) = stream.push("but that was long ago, and then")
    assert (piece.text, piece.boundary) == ("Well, yes. I see, but that was long ago,", Boundary.CLAUSE)


def test_pieces_grow_to_whole_sentences_and_no_further() -> None:
    text = "This is a sentence, and it has a clause. " * 40
    lengths = [sum(map(str.isalnum, piece.text)) for piece in pieces_of([text])]
    assert lengths[0] < 20 + 33
    assert max(lengths[:3]) <= 66
    assert all(150 <= length <= 300 for length in lengths[8:-1])


def test_early_release_gives_whole_clauses_only() -> None:
    stream = TextStream()
    first = stream.push("The first clause of all of this, is followed")
    assert len(first) == 1
    assert stream.release() == []
    for _ in range(6):
        stream.push(" by many words that end in sentences here. And")
    held = stream.release()
    assert not held or held[0].text.endswith(".")
    assert not stream.is_holding


def test_megabytes_without_a_boundary_are_cut_and_not_kept() -> None:
    stream = TextStream()
    n = 0
    for _ in range(1000):
        n += sum(len(piece.text) for piece in stream.push("x" * 1000))
        assert stream.n_pending < 5000
    assert n + sum(len(piece.text) for piece in stream.flush()) == 1_000_000


@pytest.mark.parametrize(
    "mark", ["*", "`", "[", "-", "#", "|", "<", "&", "!", "\\", "> ", "\n", "- ", "[a](", "~", "(", "_"]
)
def test_megabytes_of_marks_neither_hang_nor_pile_up(mark: str) -> None:
    reader = MarkupReader()
    for _ in range(200):
        reader.push(mark * 500)
        assert reader.pending < 10_000


def test_spans_and_pauses_of_the_caller_follow_the_text() -> None:
    text = "**One** two three four five six seven. Eight nine ten eleven twelve thirteen."
    directions = Directions((Span(8, 11, EMPHASIS), Span(46, 50, EMPHASIS)), (Pause(8, 1.0), Pause(len(text), 2.0)))
    pieces = pieces_of([text], directions=directions)
    found = [piece.text[s.start : s.end] for piece in pieces for s in piece.directions.spans]
    assert found == ["two", text[46:50]]
    pauses = [(piece.text[p.position :][:3], p.seconds) for piece in pieces for p in piece.directions.pauses]
    assert pauses == [("two", 1.0), ("", 2.0)]


def test_tags_hold_over_pieces_until_they_are_closed() -> None:
    text = "[speed:0.8]The first sentence is long enough. The second one is as well.[/speed] The third one isn't slow."
    slow = [
        piece.text[span.start : span.end].strip()
        for piece in pieces_of([text])
        for span in piece.directions.spans
        if span.prosody == Prosody(speed=0.8)
    ]
    assert " ".join(slow) == "The first sentence is long enough. The second one is as well."


def test_bytes_that_end_inside_a_character_become_a_replacement() -> None:
    pieces = pieces_of(["Naïve".encode()[:3]])
    assert "".join(piece.text for piece in pieces) == "Na\ufffd"
