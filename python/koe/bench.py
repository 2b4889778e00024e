# SPDX-License-Identifier: Apache-2.0
"""How fast an engine speaks on this machine, and where the time goes."""

import sys
import time
from dataclasses import dataclass

from koe.engine import KokoroTTS
from koe.synthesis import StageClock
from koe.voice import Voice

TEXT = (
    "The lighthouse keeper climbed the stairs every evening, just before the sun went down. "
    "He lit the great lamp, wound the clockwork, and wrote the weather in his book. "
    "Ships far out at sea saw the light, and knew that they were nearly home."
)


@dataclass(frozen=True, slots=True)
class BenchResult:
    """The fastest of some runs.

    Attributes:
        load_s: seconds to load model and voice.
        audio_s: seconds of audio.
        wall_s: seconds from the text to the last sample.
        times_real_time: audio_s / wall_s.
        first_audio_s: seconds from the text to the first piece of audio.
        peak_memory_bytes: the process's, since it began; None where the system doesn't tell.
        stages: seconds and share of the time of all stages, for each stage.
        device: what the vocoder ran on: "cpu", or the GPU's name.
        isa: the vocoder's kernel table.
        precision: of its products.
        threads: that it used.
    """

    load_s: float
    audio_s: float
    wall_s: float
    times_real_time: float
    first_audio_s: float
    peak_memory_bytes: int | None
    stages: dict[str, dict[str, float]]
    device: str
    isa: str
    precision: str
    threads: int


def measure(
    tts: KokoroTTS, text: str = TEXT, voice: str = Voice.DEFAULT, speed: float = 1.0, n_runs: int = 3
) -> BenchResult:
    """Loads an engine, speaks a word to warm up, and then the text `n_runs` times.

    Args:
        tts: with `Config(phoneme_cache_size=0)`, or else only the first run has G2P's full time.

    Raises: as `KokoroTTS.generate_speech`.
    """
    start = time.perf_counter()
    tts.generate_speech("Ready.", voice)
    load_s = time.perf_counter() - start
    runs = [_run(tts, text, voice, speed, load_s) for _ in range(max(1, n_runs))]
    return min(runs, key=lambda run: run.wall_s)


def _run(tts: KokoroTTS, text: str, voice: str, speed: float, load_s: float) -> BenchResult:
    clock = StageClock()
    start = time.perf_counter()
    first_audio_s = audio_s = 0.0
    for piece in tts.chunks(text, voice, speed=speed, clock=clock):
        if audio_s == 0:
            first_audio_s = time.perf_counter() - start
        audio_s += piece.duration
    wall_s = time.perf_counter() - start
    total = sum(clock.seconds.values()) or 1.0
    return BenchResult(
        load_s=load_s,
        audio_s=audio_s,
        wall_s=wall_s,
        times_real_time=audio_s / wall_s,
        first_audio_s=first_audio_s,
        peak_memory_bytes=peak_memory_bytes(),
        stages={name: {"seconds": s, "share": s / total} for name, s in clock.seconds.items()},
        device=tts.vocoder.device,
        isa=tts.vocoder.isa,
        precision=tts.vocoder.precision,
        threads=tts.vocoder.threads,
    )


def peak_memory_bytes() -> int | None:
    """The most memory that this process has had; None where the system doesn't tell."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def processor_name() -> str:
    """The processor, as a table of measurements names it, with the number of those that the process may use."""
    import platform

    from koe.acoustic import usable_processors

    name = platform.processor() or platform.machine()
    if sys.platform == "linux":
        facts: dict[str, str] = {}
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                key, _, value = line.partition(":")
                facts.setdefault(key.strip(), value.strip())
        name = facts.get("model name", platform.machine())
        if "cpu family" in facts:
            # Virtual machines often hide the model's name, but not its number.
            name += f" (family {facts['cpu family']}, model {facts.get('model', '?')})"
    elif sys.platform == "darwin":
        import subprocess

        asked = subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False
        )
        name = asked.stdout.strip() or name
    return f"{name}, {usable_processors()} processors"
