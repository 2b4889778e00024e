# SPDX-License-Identifier: Apache-2.0
"""How well live speech keeps up with a language model: the callback's time, first audio, gaps, and a timeline.

    python bench/bench_live.py [--rate 15] [--plot live.png] [--json]

Tokens come at a fixed rate, as a model writes them; the sink plays in real time by its clock. The plot needs the extra
`bench`.
"""

import argparse
import itertools
import json
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import koe
from koe.live import Sink

ANSWER = (
    "Of course, let me explain how that works. When the sun shines through the air, its light meets very many small "
    "molecules. Blue light is scattered by them far more than red light, because its waves are shorter! That is why we "
    "see a blue sky in every direction. In the evening, however, the light has a much longer way to go, so most of "
    "the blue is lost on the way; what is left is orange and red. Dust and smoke, e.g. after a fire, make it stronger. "
)


class Player(Sink):
    """Plays by the clock: takes a piece when the one before has been heard, and notes when each came and began."""

    def __init__(self) -> None:
        self.pieces: list[tuple[float, float, koe.AudioData]] = []  # came, began, audio
        self._free_at = 0.0

    def write(self, audio: koe.AudioData, is_cancelled: Callable[[], bool]) -> None:
        came = time.perf_counter()
        began = max(came, self._free_at)
        self._free_at = began + audio.duration
        self.pieces.append((came, began, audio))
        # One piece lies ahead, as in a sound card's buffer.
        while self._free_at - time.perf_counter() > audio.duration + 0.5 and not is_cancelled():
            time.sleep(0.01)


def tokens_of(text: str) -> list[str]:
    """About as a model cuts it: words with the space before them, and marks."""
    return re.findall(r"\s?\w{1,6}|\s?[^\w\s]|\s", text)


def measure(tts: koe.KokoroTTS, rate: float, repeats: int) -> dict[str, Any]:
    """One answer at a rate of tokens a second."""
    tokens = tokens_of(ANSWER) * repeats
    player = Player()
    calls: list[float] = []
    times: list[float] = []
    with tts.speaker(player) as speaker:
        start = time.perf_counter()
        for i, token in enumerate(tokens):
            time.sleep(max(0.0, start + i / rate - time.perf_counter()))
            before = time.perf_counter()
            speaker(token, before - start)
            after = time.perf_counter()
            calls.append(after - before)
            times.append(before)
    first = player.pieces[0]
    # The character that made the first piece certain is the one after its last mark.
    n_needed = first[2].words[-1].char_end + 2
    position = 0
    clause_at = times[-1]
    for token, at in zip(tokens, times, strict=True):
        position += len(token)
        if position >= n_needed:
            clause_at = at
            break
    gaps = [
        began - (before_began + before.duration)
        for (_, before_began, before), (_, began, _) in itertools.pairwise(player.pieces)
    ]
    calls_sorted = sorted(calls)
    return {
        "rate": rate,
        "tokens": len(tokens),
        "callback_p50_us": 1e6 * calls_sorted[len(calls) // 2],
        "callback_p99_us": 1e6 * calls_sorted[int(0.99 * len(calls))],
        "callback_max_us": 1e6 * calls_sorted[-1],
        "first_audio_ms": 1e3 * (first[0] - clause_at),
        "audio_s": sum(audio.duration for _, _, audio in player.pieces),
        "longest_gap_ms": 1e3 * max(gaps, default=0.0),
        "timeline": {
            "tokens": [at - start for at in times],
            "pieces": [(came - start, began - start, audio.duration) for came, began, audio in player.pieces],
        },
    }


def callback_under_load(tts: koe.KokoroTTS, n_calls: int) -> dict[str, float]:
    """The callback's time while the voice works without a pause, at a thousand tokens a second."""
    done = threading.Event()

    def load() -> None:
        while not done.is_set():
            for _ in tts.stream(ANSWER):
                if done.is_set():
                    break

    worker = threading.Thread(target=load)
    worker.start()
    calls = []
    tokens = tokens_of(ANSWER)
    try:
        with tts.speaker(lambda _: None) as speaker:
            for i in range(n_calls):
                before = time.perf_counter()
                speaker(tokens[i % len(tokens)], 0.0)
                calls.append(time.perf_counter() - before)
                time.sleep(0.001)
            speaker.cancel()
    finally:
        done.set()
        worker.join()
    calls.sort()
    return {
        "calls": n_calls,
        "p50_us": 1e6 * calls[n_calls // 2],
        "p99_us": 1e6 * calls[int(0.99 * n_calls)],
        "max_us": 1e6 * calls[-1],
    }


def plot(result: dict[str, Any], path: str) -> None:
    """Tokens in, pieces out, audio played, over time."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    timeline = result["timeline"]
    figure, axes = plt.subplots(figsize=(10, 3), layout="constrained")
    axes.plot(timeline["tokens"], [2] * len(timeline["tokens"]), "|", color="tab:blue", markersize=12)
    axes.plot([came for came, _, _ in timeline["pieces"]], [1] * len(timeline["pieces"]), "v", color="tab:orange")
    axes.broken_barh([(began, length) for _, began, length in timeline["pieces"]], (-0.25, 0.5), color="tab:green",
                     edgecolor="white")  # fmt: skip
    axes.set_yticks([2, 1, 0], ["tokens in", "pieces out", "audio played"])
    axes.set_xlabel("seconds")
    axes.set_title(
        f"{result['rate']:g} tokens a second: first audio {result['first_audio_ms']:.0f} ms after its clause"
    )
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=15.0, help="tokens a second")
    parser.add_argument("--repeats", type=int, default=1, help="of the answer")
    parser.add_argument("--calls", type=int, default=2000, help="of the callback under load")
    parser.add_argument("--plot", help="an image of the timeline")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with koe.KokoroTTS() as tts:
        for _ in tts.stream("Warm up, please, and be quick about it."):
            pass
        result = measure(tts, options.rate, options.repeats)
        result["under_load"] = callback_under_load(tts, options.calls)
        result["kernels"] = f"{tts.vocoder.isa}, {tts.vocoder.precision}, {tts.vocoder.threads} threads"
    if options.plot:
        plot(result, options.plot)
    if options.json:
        print(json.dumps(result))
        return
    del result["timeline"]
    for name, value in result.items():
        print(f"{name:18} {value:.1f}" if isinstance(value, float) else f"{name:18} {value}")


if __name__ == "__main__":
    main()
