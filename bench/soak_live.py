# SPDX-License-Identifier: Apache-2.0
"""Hours of streamed text through one speaker: does memory grow?

    python bench/soak_live.py [--audio-s 7200] [--speed 1]

First speaks a chunk of 504 tokens, nearly the longest there can be: the vocoder's arena has its final size then, and
what grows afterwards is kept for no reason. Prints resident memory at every tenth of the way, and exits with 1 if the
last half grew by more than 16 MiB.
"""

import argparse
import itertools
import os
import sys
from pathlib import Path

import koe

LIMIT_BYTES = 16 * 2**20
_WORDS = (
    "river", "mountain", "letter", "window", "garden", "winter",
    "morning", "kitchen", "doctor", "stories", "silver", "yellow",
)  # fmt: skip


def resident_bytes() -> int:
    """Of this process."""
    if sys.platform == "linux":
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def sentences() -> itertools.chain[str]:
    """Sentences without an end, hardly one like another."""
    return itertools.chain.from_iterable(
        (
            f"Number {i} of the {_WORDS[i % 12]}, ",
            f"near the {_WORDS[i // 12 % 12]} and ",
            f"the *{_WORDS[i // 144 % 12]}*. ",
        )
        for i in itertools.count()
    )


def soak(tts: koe.KokoroTTS, audio_s: float, speed: float = 1.0, n_marks: int = 10) -> list[int]:
    """Speaks until so many seconds of audio have come; resident bytes at each tenth."""
    tts.generate_speech("river " * 72, speed=speed)
    heard = 0.0
    marks: list[int] = []
    with tts.speaker(lambda audio: pieces.append(audio.duration), speed=speed) as speaker:
        pieces: list[float] = []
        for i, token in enumerate(sentences()):
            if speaker(token, 0.0):
                break
            if i % 30 == 29:
                # As a model waits for its turn: the utterance ends now and then, the speaker goes on.
                speaker.flush()
                heard += sum(pieces)
                pieces.clear()
                while len(marks) < n_marks and heard >= audio_s * (len(marks) + 1) / n_marks:
                    marks.append(resident_bytes())
                if heard >= audio_s:
                    break
    return marks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audio-s", type=float, default=7200.0, help="seconds of speech")
    parser.add_argument("--speed", type=float, default=1.0, help="4: as much text in a quarter of the time")
    options = parser.parse_args()
    with koe.KokoroTTS() as tts:
        marks = soak(tts, options.audio_s, options.speed)
    for i, resident in enumerate(marks, 1):
        print(f"{i * options.audio_s / len(marks):8.0f} s  {resident / 2**20:8.1f} MiB")
    growth = max(marks[len(marks) // 2 :]) - marks[len(marks) // 2 - 1]
    if growth > LIMIT_BYTES:
        sys.exit(f"resident memory grew by {growth / 2**20:.1f} MiB in the last half")


if __name__ == "__main__":
    main()
