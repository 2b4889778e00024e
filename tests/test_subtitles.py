# SPDX-License-Identifier: Apache-2.0
"""Subtitles: where cues end, and the two formats."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import koe
from koe.g2p import WordSpan
from koe.subtitles import MAX_CUE_S, MAX_LINE, cues
from koe.synthesis import displays


def words_of(text: str, seconds_each: float = 0.3, pause_s: float = 0.05) -> list[koe.Word]:
    words = []
    time = 0.0
    for match in re.finditer(r"\S+", text):
        core = match[0].strip(".,;!?“”")
        words.append(koe.Word(core, time, time + seconds_each, match.start(), match.end(), match[0]))
        time += seconds_each + pause_s
    return words


def shown(text: str, **options: float) -> list[str]:
    return ["|".join(cue.lines) for cue in cues(words_of(text, **options))]


def test_cues_end_with_sentences() -> None:
    assert shown("The cat sat on the mat of the king. It was a very warm mat indeed.") == [
        "The cat sat on the mat of the king.",
        "It was a very warm mat indeed.",
    ]


def test_short_sentences_share_a_cue() -> None:
    assert shown("Yes. No. I don't know. Why would you ever ask me?") == [
        "Yes. No. I don't know.|Why would you ever ask me?"
    ]


def test_long_sentences_are_cut_at_a_clause() -> None:
    text = (
        "When the evening came over the quiet hills of the north, the old king went up to his window, "
        "and looked for a long while at the road."
    )
    assert shown(text, seconds_each=0.2) == [
        "When the evening came over|the quiet hills of the north,",
        "the old king went up to his window,|and looked for a long while at the road.",
    ]


def test_slow_speech_is_cut_by_time() -> None:
    assert all(cue.end - cue.start <= MAX_CUE_S for cue in cues(words_of("one two three four five six", 2.0)))


def test_a_long_pause_ends_a_cue() -> None:
    assert shown("one two", pause_s=1.5) == ["one", "two"]


@settings(max_examples=150, deadline=None)
@given(
    texts=st.lists(st.text("ab.,“é", min_size=1, max_size=100), max_size=30),
    times=st.lists(st.tuples(st.floats(0.01, 9), st.floats(0, 2)), min_size=30, max_size=30),
)
def test_no_rule_is_ever_broken_and_no_word_lost(texts: list[str], times: list[tuple[float, float]]) -> None:
    words, time = [], 0.0
    for text, (length, gap) in zip(texts, times, strict=False):
        words.append(koe.Word(text, time, time + length, 0, 1, text))
        time += length + gap
    found = cues(words)
    for cue in found:
        assert 1 <= len(cue.lines) <= 2
        assert all(0 < len(line) <= MAX_LINE for line in cue.lines)
        assert cue.start < cue.end <= cue.start + MAX_CUE_S + 1e-9
    assert all(a.end <= b.start + 1e-9 for a, b in pairwise(found))
    assert "".join("".join(cue.lines) for cue in found).replace(" ", "") == "".join(texts)


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("“Hi,” he said.", ["Hi", "he", "said"], ["“Hi,”", "he", "said."]),
        ("He—she [Kokoro](/kˈO/)!", ["He", "she", "Kokoro"], ["He—", "she", "Kokoro!"]),
        ("([a](/x/) b)", ["a", "b"], ["(a", "b)"]),
        ("... one 漢字 two", ["one", "two"], ["... one 漢字", "two"]),
        ("one — two —", ["one", "two"], ["one —", "two —"]),
        ("", [], []),
    ],
)
def test_words_are_shown_with_what_stands_beside_them(text: str, words: list[str], expected: list[str]) -> None:
    spans, position = [], 0
    for word in words:
        position = text.index(word, position)
        spans.append(WordSpan(position, position + len(word), 0, 1))
        position += len(word)
    assert list(displays(text, tuple(spans)).values()) == expected


def test_files_of_both_formats_hold_the_speech(tts: koe.KokoroTTS, tmp_path: Path) -> None:
    audio = tts.generate_speech("“Salt & pepper,” he said. [a b](/ˈA bˈi/) <c>.", speed=2)
    audio.save_subtitles(tmp_path / "x.srt")
    audio.save_subtitles(tmp_path / "x.VTT")
    srt, vtt = (tmp_path / "x.srt").read_text("utf-8"), (tmp_path / "x.VTT").read_text("utf-8")
    assert re.fullmatch(r"1\n00:00:00,\d{3} --> 00:00:0\d,\d{3}\n“Salt & pepper,” he said\.\n\n2\n.+\na b <c>\.\n", srt)
    assert vtt.startswith("WEBVTT\n\n00:00:00.")
    assert "“Salt &amp; pepper,” he said." in vtt
    assert "a b &lt;c&gt;." in vtt
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.VTT", "x.srt"]


def test_nothing_spoken_gives_files_without_cues(tts: koe.KokoroTTS, tmp_path: Path) -> None:
    audio = tts.generate_speech("…")
    audio.save_subtitles(tmp_path / "x.srt")
    audio.save_subtitles(tmp_path / "x.vtt")
    assert (tmp_path / "x.srt").read_text() == ""
    assert (tmp_path / "x.vtt").read_text() == "WEBVTT\n"


def test_other_formats_are_refused(tts: koe.KokoroTTS, tmp_path: Path) -> None:
    audio = tts.generate_speech("")
    with pytest.raises(koe.InvalidRequestError, match=r"x\.txt.*\.srt, \.vtt"):
        audio.save_subtitles(tmp_path / "x.txt")
    with pytest.raises(FileNotFoundError):
        audio.save_subtitles(tmp_path / "gone" / "x.srt")
    assert list(tmp_path.iterdir()) == []
