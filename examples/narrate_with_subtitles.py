# SPDX-License-Identifier: Apache-2.0
"""Narrate a text with marks for pauses and emphasis, and write its subtitles.

python examples/narrate_with_subtitles.py "It was [pause:0.6s] [emphasis]very[/emphasis] late." story.wav story.srt
"""

import sys

import koe


def main() -> None:
    text, sound, subtitles = sys.argv[1:]
    with koe.KokoroTTS() as tts:
        audio = tts.generate_speech(text, voice=koe.Voice.EMMA, prosody=koe.Prosody(pitch=-1, pitch_range=1.2))
    audio.save(sound)
    audio.save_subtitles(subtitles)
    print(f"{audio.duration:.2f} s, {len(audio.words)} words")


if __name__ == "__main__":
    main()
