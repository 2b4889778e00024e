# SPDX-License-Identifier: Apache-2.0
"""Subtitles from the times of words."""

import contextlib
import html
import os
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from koe.audio import Word
from koe.errors import InvalidRequestError

MAX_LINE = 42
MAX_CUE_S = 7.0
# A shorter cue can't be read; it stays longer where the next one leaves time.
_LEAST_CUE_S = 0.8
# A sentence's end closes a cue of this many characters; shorter ones go on with the next sentence.
_LEAST_CUE = 24
# So long a pause closes any cue.
_PAUSE_S = 1.0
_CLOSERS = "\"'”’»)]}）］】」』"
_SENTENCE_MARKS = ".!?…。！？।؟"
_CLAUSE_MARKS = ",;:—–，；：、"
FORMATS = (".srt", ".vtt")


@dataclass(frozen=True, slots=True)
class Cue:
    """What is shown at once.

    Attributes:
        start: seconds.
        end: seconds, at most 7 later.
        lines: one or two of at most 42 characters.
    """

    start: float
    end: float
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """A word, or a part of one that is longer than a line."""

    text: str
    start: float
    end: float


def cues(words: Iterable[Word]) -> list[Cue]:
    """Words as cues that end at phrases' ends where they can."""
    found: list[list[_Part]] = []
    current: list[_Part] = []
    for part in _parts(words):
        if current and part.start - current[-1].end >= _PAUSE_S:
            found.append(current)
            current = []
        while current and not _fits([*current, part]):
            n = _best_cut(current)
            found.append(current[:n])
            current = current[n:]
        current.append(part)
        if _rank(part.text) == 2 and len(_text(current)) >= _LEAST_CUE:
            found.append(current)
            current = []
    if current:
        found.append(current)
    shown = []
    for i, group in enumerate(found):
        free_until = found[i + 1][0].start if i + 1 < len(found) else group[-1].end + _LEAST_CUE_S
        end = max(group[-1].end, min(free_until, group[0].start + _LEAST_CUE_S))
        lines = _lines([part.text for part in group])
        assert lines is not None
        shown.append(Cue(group[0].start, min(end, group[0].start + MAX_CUE_S), lines))
    return shown


def _parts(words: Iterable[Word]) -> Iterable[_Part]:
    for word in words:
        text = " ".join((word.display or word.text).split())
        n = max(1, -(-len(text) // MAX_LINE))
        step = (word.end - word.start) / n
        for k in range(n):
            yield _Part(text[k * MAX_LINE : (k + 1) * MAX_LINE], word.start + k * step, word.start + (k + 1) * step)


def _text(parts: Sequence[_Part]) -> str:
    return " ".join(part.text for part in parts)


def _fits(parts: Sequence[_Part]) -> bool:
    return parts[-1].end - parts[0].start <= MAX_CUE_S and _lines([part.text for part in parts]) is not None


def _rank(text: str) -> int:
    """2 at a sentence's end, 1 at a clause's, else 0."""
    last = text.rstrip(_CLOSERS)[-1:]
    if last and last in _SENTENCE_MARKS:
        return 2
    return 1 if last and last in _CLAUSE_MARKS else 0


def _best_cut(parts: Sequence[_Part]) -> int:
    """After how many of the parts the cue is to end: the last best mark in the second half, else all."""
    half = len(parts) // 2 + 1
    best = max(range(half, len(parts) + 1), key=lambda n: (_rank(parts[n - 1].text), n), default=len(parts))
    return best if _rank(parts[best - 1].text) else len(parts)


def _lines(texts: Sequence[str]) -> tuple[str, ...] | None:
    """One or two lines of the words; None where they don't fit."""
    whole = " ".join(texts)
    if len(whole) <= MAX_LINE:
        return (whole,)
    best: tuple[float, tuple[str, str]] | None = None
    for n in range(1, len(texts)):
        first, second = " ".join(texts[:n]), " ".join(texts[n:])
        if len(first) <= MAX_LINE and len(second) <= MAX_LINE:
            # Even lines read best, and a line's end at a mark is worth some characters.
            cost = abs(len(first) - len(second)) - 8 * _rank(texts[n - 1])
            if best is None or cost < best[0]:
                best = (cost, (first, second))
    return None if best is None else best[1]


def write_srt(words: Iterable[Word]) -> str:
    """SubRip text."""
    return "\n".join(
        f"{i}\n{_time(cue.start, ',')} --> {_time(cue.end, ',')}\n" + "".join(f"{line}\n" for line in cue.lines)
        for i, cue in enumerate(cues(words), 1)
    )


def write_vtt(words: Iterable[Word]) -> str:
    """WebVTT text."""
    return "WEBVTT\n" + "".join(
        f"\n{_time(cue.start, '.')} --> {_time(cue.end, '.')}\n"
        + "".join(f"{html.escape(line, quote=False)}\n" for line in cue.lines)
        for cue in cues(words)
    )


def _time(seconds: float, point: str) -> str:
    ms = round(seconds * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{point}{ms % 1000:03}"


def save_subtitles(words: Iterable[Word], path: str | os.PathLike[str]) -> None:
    """Writes a .srt or .vtt file, whole or not at all; see `AudioData.save_subtitles`.

    Raises:
        InvalidRequestError: the extension names no format of subtitles.
        OSError: the file can't be written.
    """
    target = Path(path)
    if target.suffix.lower() not in FORMATS:
        raise InvalidRequestError(
            f"the extension of {target.name!r} names no format of subtitles; koe writes {', '.join(FORMATS)}"
        )
    content = (write_srt if target.suffix.lower() == ".srt" else write_vtt)(words)
    partial = target.with_name(f".{target.name}.{secrets.token_hex(8)}.partial")
    try:
        partial.write_text(content, encoding="utf-8", newline="\n")
        os.replace(partial, target)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
