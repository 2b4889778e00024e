# SPDX-License-Identifier: Apache-2.0
"""`koe voices`, `koe info` and `koe bench`: tables for people, JSON for programs."""

import json
import os
import platform
import sys
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import typer

from koe import _core, assets
from koe.acoustic import usable_processors
from koe.config import Config

_PACKAGES = ("numpy", "onnxruntime", "phonemizer", "espeakng-loader", "soundfile", "onnx", "gguf")
_SEXES = {"f": "female", "m": "male"}


def show_voices(path: Path | None) -> None:
    """One name a line; on a terminal with language and sex."""
    from koe.voice import Language

    names = assets.voice_names(path)
    if not sys.stdout.isatty():
        for name in names:
            typer.echo(name)
        return
    for name in names:
        is_named = name[2:3] == "_" and name[1:2] in _SEXES
        language = Language.of_voice(name).value if is_named else ""
        typer.echo(f"{name:16} {language:6} {_SEXES.get(name[1:2], '') if is_named else ''}".rstrip())


def show_info(as_json: bool) -> None:
    """Versions, processor, kernels, files."""
    facts = _facts()
    if as_json:
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    for title, entries in facts.items():
        typer.echo(title)
        for name, value in entries.items():
            text = ", ".join(value) if isinstance(value, list) else value
            typer.echo(f"  {name:16} {text}")


def _facts() -> dict[str, dict[str, Any]]:
    import koe

    report = assets.describe()
    gpu, why_none = _core.metal_device()
    return {
        "versions": {
            "koe": koe.__version__,
            "python": platform.python_version(),
            **{name: _package_version(name) for name in _PACKAGES},
        },
        "machine": {
            "system": f"{platform.system()} {platform.release()}",
            "processor": platform.machine(),
            "cores": str(usable_processors()),
            "features": _core.processor_features(),
            "kernel tables": _core.available_isas(),
            "in use": os.environ.get("KOE_ISA") or _core.available_isas()[-1],
            "metal": gpu or f"none: {why_none}",
        },
        "model": {
            "file": str(report.model) if report.model else "not here yet",
            "origin": report.model_origin,
            "sources": list(report.model_sources),
            "bundles": str(assets.bundle_cache_dir()),
        },
        "voices": {
            "folder": str(report.voices) if report.voices else str(report.cache),
            "here": list(report.voices_cached),
            "known": str(len(report.voices_known)),
            "sources": list(report.voice_sources),
        },
    }


def _package_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def show_bench(config: Config, text: str | None, voice: str, n_runs: int, as_json: bool) -> None:
    """Measures and shows."""
    from koe.bench import TEXT, measure
    from koe.engine import KokoroTTS

    with KokoroTTS(config) as tts:
        result = measure(tts, TEXT if text is None else text, voice, n_runs=n_runs)
    if as_json:
        typer.echo(json.dumps(asdict(result), indent=2))
        return
    peak = "unknown" if result.peak_memory_bytes is None else f"{result.peak_memory_bytes / 2**20:.0f} MiB"
    typer.echo(f"audio            {result.audio_s:.2f} s")
    typer.echo(f"wall             {result.wall_s:.2f} s")
    typer.echo(f"times real time  {result.times_real_time:.2f}")
    typer.echo(f"first audio      {result.first_audio_s:.3f} s")
    typer.echo(f"load             {result.load_s:.2f} s")
    typer.echo(f"device           {result.device}")
    typer.echo(f"kernels          {result.isa}, {result.precision}, {result.threads} threads")
    typer.echo(f"peak memory      {peak}")
    for name, stage in result.stages.items():
        typer.echo(f"{name.replace('_', ' '):16} {stage['seconds']:.3f} s  {stage['share']:6.1%}")
