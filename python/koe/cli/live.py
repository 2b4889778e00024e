# SPDX-License-Identifier: Apache-2.0
"""`koe speak` on what is still being written, and to the sound card or standard output."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import typer

from koe.audio import AudioData
from koe.config import Config
from koe.engine import KokoroTTS
from koe.live.sinks import PcmSink, Sink, SoundFileSink, WavFileSink

STANDARD = Path("-")
_INTERRUPTED = 130
_BLOCK_BYTES = 65536


def speak_live(
    config: Config,
    text: str | None,
    output: Path | None,
    voice: str,
    language: str | None,
    speed: float,
    pcm: bool = False,
    markdown: bool = True,
) -> None:
    """Speaks while the text comes; Ctrl-C stops at once, and what was spoken by then stays.

    Args:
        config: of the engine.
        text: None for standard input.
        output: a file, - for standard output, or None for the sound card.
        voice: its name.
        language: its code; None for the voice's.
        speed: of the speech.
        pcm: raw samples on standard output instead of WAV.
        markdown: read Markdown without its marks.
    """
    if output == STANDARD and sys.stdout.isatty():
        raise typer.BadParameter("standard output is a terminal; send it to a file or a player")
    if output is not None and output != STANDARD:
        AudioData.check_format(output)
    with KokoroTTS(config) as tts:
        # What can't be had is told before an older file is replaced.
        tts.speaker(print, voice, language, speed).close()
        sink = _open(output, pcm)
        speaker = tts.speaker(sink, voice, language, speed, markdown=markdown)
        try:
            for token in _standard_input() if text is None else (text,):
                if speaker(token):
                    break
            speaker.close()
        except KeyboardInterrupt:
            speaker.cancel()
            speaker.close()
            raise typer.Exit(_INTERRUPTED) from None
        finally:
            speaker.cancel()
            speaker.close()
            if isinstance(sink, (WavFileSink, SoundFileSink)):
                if not sink.n_samples:
                    typer.echo("koe: the text has nothing to speak", err=True)
                typer.echo(f"{output}: {sink.n_samples / 24_000:.2f} s")


def _open(output: Path | None, pcm: bool) -> Sink:
    if output is None:
        from koe.live.playback import SoundCard

        return SoundCard()
    if output == STANDARD:
        return PcmSink(sys.stdout.buffer, wav_header=not pcm)
    return WavFileSink(output) if output.suffix.lower() == ".wav" else SoundFileSink(output)


def _standard_input() -> Iterator[bytes]:
    """What is there, as soon as it is there."""
    while block := os.read(sys.stdin.fileno(), _BLOCK_BYTES):
        yield block
