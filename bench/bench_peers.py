# SPDX-License-Identifier: Apache-2.0
"""koe beside kokoro-onnx and the PyTorch decoder: same text, voice, model file and threads.

    pip install ".[model,bench]" torch==2.13.0
    pip download --no-deps --dest /tmp kokoro==0.9.4
    python bench/bench_peers.py --kokoro /tmp/kokoro-0.9.4-py3-none-any.whl

Every engine is a process of its own, so that its peak memory is its own. First each starts twice, alone, and says one
word; the faster start counts, behind a warm cache of files. Then they take turns with the paragraph, A B C A B C, while
the others wait; the fastest turn counts. An engine that can't be loaded here is named with its reason.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import report

WORD = "Hello."


@dataclass(frozen=True)
class Result:
    """One engine's figures; of several turns the best.

    Attributes:
        start_s: from the start of the process to the first word's samples.
        audio_s: of the text.
        wall_s: from the text to its last sample.
        first_s: from the text to the first piece.
        peak_bytes: of its process in all.
    """

    name: str
    start_s: float
    audio_s: float = 0.0
    wall_s: float = float("inf")
    first_s: float = float("inf")
    peak_bytes: int = 0

    @property
    def times_real_time(self) -> float:
        """Seconds of audio a second."""
        return self.audio_s / self.wall_s


def work(name: str, setting: dict[str, Any]) -> None:
    """The engine's own process: a JSON text a line in, a JSON result a line out."""
    from peers import SAMPLE_RATE_HZ, Setting, peer

    paths = {key: None if setting[key] is None else Path(setting[key]) for key in ("model", "voices", "kokoro")}
    engine = peer(name)
    engine.load(Setting(**{**setting, **paths}))
    for line in sys.stdin:
        text = json.loads(line)
        start = time.perf_counter()
        first_s, n_samples = 0.0, 0
        for samples in engine.speak(text):
            first_s = first_s or time.perf_counter() - start
            n_samples += len(samples)
        wall_s = time.perf_counter() - start
        from koe.bench import peak_memory_bytes

        print(
            json.dumps(
                {
                    "wall_s": wall_s,
                    "first_s": first_s,
                    "audio_s": n_samples / SAMPLE_RATE_HZ,
                    "peak_bytes": peak_memory_bytes() or 0,
                }
            ),
            flush=True,
        )


class Worker:
    """An engine in a process, which waits without using the processor."""

    def __init__(self, name: str, setting: dict[str, Any]) -> None:
        start = time.perf_counter()
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        command = [sys.executable, __file__, "--work", name, "--setting", json.dumps(setting)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )
        try:
            self.speak(WORD)
        except RuntimeError:
            self.close()
            raise
        self.start_s = time.perf_counter() - start

    def speak(self, text: str) -> dict[str, Any]:
        """One turn.

        Raises:
            RuntimeError: the process ended; the message is the last line that it wrote.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(text) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            lines = self._errors.read().strip().splitlines() or [f"exit status {self._process.returncode}"]
            raise RuntimeError(lines[-1])
        result: dict[str, Any] = json.loads(line)
        return result

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()


def compare(names: list[str], setting: dict[str, Any], text: str, turns: int) -> tuple[list[Result], dict[str, str]]:
    """The results of all engines that could be loaded, and why the others could not."""
    workers: dict[str, Worker] = {}
    results: dict[str, Result] = {}
    missing: dict[str, str] = {}
    try:
        for name in names:
            try:
                first = Worker(name, setting)
                first.close()
                workers[name] = Worker(name, setting)
            except RuntimeError as error:
                missing[name] = str(error)
                continue
            results[name] = Result(name, min(first.start_s, workers[name].start_s))
            print(f"{name}: started in {results[name].start_s:.2f} s", file=sys.stderr, flush=True)
        for turn in range(turns):
            for name, worker in workers.items():
                spoken = worker.speak(text)
                best = results[name]
                results[name] = replace(
                    best,
                    audio_s=spoken["audio_s"],
                    wall_s=min(best.wall_s, spoken["wall_s"]),
                    first_s=min(best.first_s, spoken["first_s"]),
                    peak_bytes=spoken["peak_bytes"],
                )
                print(f"turn {turn + 1}, {name}: {spoken['wall_s']:.2f} s", file=sys.stderr, flush=True)
    finally:
        for worker in workers.values():
            worker.close()
    return list(results.values()), missing


def plot(path: Path, results: list[Result]) -> None:
    """Speed and memory, a bar an engine."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(
        1, 2, figsize=(11, 0.8 + 0.4 * len(results)), sharey=True, layout="constrained"
    )
    names = [result.name for result in results]
    colours = ["tab:blue" if name.startswith("koe") else "tab:grey" for name in names]
    left.bar_label(left.barh(names, [r.times_real_time for r in results], color=colours), fmt="%.1f", padding=3)
    left.set(xlabel="times real time, text to samples")
    right.bar_label(right.barh(names, [r.peak_bytes / 1e6 for r in results], color=colours), fmt="%.0f", padding=3)
    right.set(xlabel="peak memory, MB")
    left.invert_yaxis()
    for axes in (left, right):
        axes.margins(x=0.12)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Compares, and writes the table, the plot and the figures."""
    from koe import assets
    from koe.acoustic import usable_processors
    from koe.bench import TEXT
    from peers import choices

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", nargs="+", default=choices(), help="as in the default: %(default)s")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=usable_processors())
    parser.add_argument("--voice", default="af_bella")
    parser.add_argument("--text", default=TEXT)
    parser.add_argument("--kokoro", type=Path, help="the wheel or folder of the PyTorch package kokoro 0.9.4")
    parser.add_argument("--output", type=Path, default=report.RESULTS / "peers.md", help="plot and JSON go beside it")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--setting", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work is not None:
        work(options.work, options.setting)
        return

    import numpy as np

    from koe import _core

    with tempfile.TemporaryDirectory() as folder:
        voices = Path(folder) / "voices.npz"
        file = assets.voice_path(options.voice)
        pack = _core.StylePack.open(file.path, file.member or "")
        style = np.stack([pack.row(row) for row in range(pack.n_rows)])[:, None]
        np.savez(voices, **{options.voice: style})
        setting = {
            "model": str(assets.model_path()),
            "voices": str(voices),
            "voice": options.voice,
            "threads": options.threads,
            "kokoro": None if options.kokoro is None else str(options.kokoro.absolute()),
        }
        results, missing = compare(options.engines, setting, options.text, options.turns)

    columns = ["engine", "times real time", "audio s", "seconds", "first audio s", "start s", "peak MB"]
    rows = [
        [
            r.name,
            f"{r.times_real_time:.1f}",
            f"{r.audio_s:.1f}",
            f"{r.wall_s:.2f}",
            f"{r.first_s:.2f}",
            f"{r.start_s:.2f}",
            f"{r.peak_bytes / 1e6:.0f}",
        ]
        for r in results
    ]
    report.write(
        options.output,
        report.header("Engines side by side", "kokoro-onnx", "torch"),
        f"{options.threads} threads, voice {options.voice}, {len(options.text.split())} words, best of {options.turns} "
        "turns. Start: import, load and first word.\n",
        report.table(columns, rows),
        "".join(f"- {name}: not here: {reason}\n" for name, reason in missing.items()),
        f"![Speed and memory]({options.output.stem}.png)\n",
    )
    options.output.with_suffix(".json").write_text(json.dumps([asdict(r) for r in results], indent=1) + os.linesep)
    plot(options.output.with_suffix(".png"), results)


if __name__ == "__main__":
    main()
