# SPDX-License-Identifier: Apache-2.0
"""`koe speak` and `koe phonemize`."""

import sys
from collections.abc import Iterator
from pathlib import Path

import typer

from koe.audio import AudioData
from koe.config import Config
from koe.engine import KokoroTTS, language_of
from koe.synthesis import concatenate

# Shorter texts are done before a bar would be of use.
_LONG_TEXT = 400


def read_text(text: str | None, file: Path | None) -> str:
    """The text from the argument, a file, or standard input."""
    if (text is None) == (file is None):
        raise typer.BadParameter("give either a text, --file, or - for standard input")
    if file is not None:
        return file.read_bytes().decode("utf-8-sig", "replace")
    if text == "-":
        return sys.stdin.buffer.read().decode("utf-8-sig", "replace")
    return text or ""


def speak_to_file(config: Config, text: str, output: Path, voice: str, language: str | None, speed: float) -> None:
    """Speaks and saves, with a bar for a long text on a terminal."""
    AudioData.check_format(output)
    with KokoroTTS(config) as tts:
        pieces = tts.chunks(text, voice, language, speed)
        if len(text) >= _LONG_TEXT and sys.stderr.isatty():
            pieces = _with_bar(pieces, len(text))
        audio = concatenate(pieces)
    audio.save(output)
    if len(audio.samples) == 0:
        typer.echo("koe: the text has nothing to speak", err=True)
    typer.echo(f"{output}: {audio.duration:.2f} s")


def _with_bar(pieces: Iterator[AudioData], n_characters: int) -> Iterator[AudioData]:
    from koe.assets.progress import terminal_progress

    with terminal_progress(True).task("Speaking", n_characters) as advance:
        done = 0
        for piece in pieces:
            yield piece
            if piece.words:
                advance(piece.words[-1].char_end - done)
                done = piece.words[-1].char_end


def show_phonemes(text: str, language: str | None, voice: str, rules: str, words: bool) -> None:
    """Prints the phonemes, or a line for each word."""
    from koe.errors import InvalidRequestError
    from koe.g2p import EspeakG2P
    from koe.styles import without_surrogates

    try:
        g2p = EspeakG2P(rules)
    except ValueError as error:
        raise InvalidRequestError(str(error)) from error
    content = without_surrogates(text)
    result = g2p.phonemize(content, language_of(language, voice))
    if not words:
        typer.echo(result.phonemes)
        return
    for word in result.words:
        spelled = content[word.text_start : word.text_end]
        typer.echo(f"{spelled}\t{result.phonemes[word.phoneme_start : word.phoneme_end]}")
