# SPDX-License-Identifier: Apache-2.0
"""How time and memory grow with the text, from a word to a book, and how time shrinks with threads.

    python bench/bench_growth.py --max-words 100000

Each row is a process of its own, so that its peak memory is its own. Audio is taken piece by piece and dropped, as by a
player or a file; the seconds count from the text to the last sample, behind loading and one word to warm up.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import report

WORDS = (1, 10, 100, 1_000, 10_000, 100_000)
WORDS_FOR_THREADS = 200


def measure(n_words: int, threads: int, isa: str, precision: str) -> dict[str, float | int | str]:
    """Speaks so many words in this process."""
    import time

    from koe import Config, KokoroTTS
    from koe.bench import TEXT, peak_memory_bytes

    words = TEXT.split()
    text = " ".join(words[i % len(words)] for i in range(n_words))
    with KokoroTTS(Config(threads=threads, isa=isa, precision=precision, phoneme_cache_size=0)) as tts:
        tts.generate_speech("Ready.")
        loaded_bytes = peak_memory_bytes() or 0
        start = time.perf_counter()
        first_s = audio_s = 0.0
        for piece in tts.chunks(text):
            first_s = first_s or time.perf_counter() - start
            audio_s += piece.duration
        return {
            "words": n_words,
            "threads": tts.vocoder.threads,
            "audio_s": audio_s,
            "wall_s": time.perf_counter() - start,
            "first_s": first_s,
            "loaded_bytes": loaded_bytes,
            "peak_bytes": peak_memory_bytes() or 0,
            "kernels": f"{tts.vocoder.isa}, {tts.vocoder.precision}",
        }


def in_process(n_words: int, options: argparse.Namespace, threads: int) -> dict[str, float]:
    """`measure` in a new process."""
    command = [sys.executable, __file__, "--measure", str(n_words), "--threads", str(threads)]
    command += ["--isa", options.isa, "--precision", options.precision]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, float] = json.loads(done.stdout)
    print(f"{n_words} words, {threads} threads: {result['wall_s']:.1f} s", file=sys.stderr, flush=True)
    return result


def plot(path: Path, growth: list[dict[str, float]], threads: list[dict[str, float]]) -> None:
    """Time and memory over words, and speed over threads."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    words = [row["words"] for row in growth]
    left.loglog(words, [row["wall_s"] for row in growth], "o-")
    left.set(xlabel="words", ylabel="seconds")
    middle.semilogx(words, [row["peak_bytes"] / 1e6 for row in growth], "o-")
    middle.set(xlabel="words", ylabel="peak memory, MB", ylim=(0, None))
    right.plot([row["threads"] for row in threads], [row["audio_s"] / row["wall_s"] for row in threads], "o-")
    right.set(xlabel="threads", ylabel="times real time", xlim=(0, None), ylim=(0, None))
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measures, and writes the table and the plot."""
    from koe.acoustic import usable_processors

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--max-words", type=int, default=10_000)
    parser.add_argument("--max-threads", type=int, default=usable_processors())
    parser.add_argument("--isa", default=os.environ.get("KOE_ISA", ""))
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--output", type=Path, default=report.RESULTS / "growth.md", help="the plot goes beside it")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        print(json.dumps(measure(options.measure, options.threads, options.isa, options.precision)))
        return

    growth = [in_process(n, options, options.max_threads) for n in WORDS if n <= options.max_words]
    counts = sorted({*(2**k for k in range(10) if 2**k <= options.max_threads), options.max_threads})
    threads = [in_process(min(WORDS_FOR_THREADS, options.max_words), options, n) for n in counts]
    columns = ["words", "threads", "audio s", "seconds", "times real time", "first audio s", "loaded MB", "peak MB"]

    def rows(results: list[dict[str, float]]) -> list[list[str]]:
        return [
            [
                f"{r['words']:,}".replace(",", " "),
                str(r["threads"]),
                f"{r['audio_s']:.1f}",
                f"{r['wall_s']:.2f}",
                f"{r['audio_s'] / r['wall_s']:.1f}",
                f"{r['first_s']:.2f}",
                f"{r['loaded_bytes'] / 1e6:.0f}",
                f"{r['peak_bytes'] / 1e6:.0f}",
            ]
            for r in results
        ]

    report.write(
        options.output,
        report.header("Growth: words and threads"),
        f"Kernels: {growth[0]['kernels']}.\n",
        report.table(columns, rows(growth)),
        report.table(columns, rows(threads)),
        f"![Time and memory over words, speed over threads]({options.output.stem}.png)\n",
    )
    plot(options.output.with_suffix(".png"), growth, threads)


if __name__ == "__main__":
    main()
