# SPDX-License-Identifier: Apache-2.0
"""`koe prepare` and `koe fetch`."""

from pathlib import Path

import typer

from koe import assets
from koe.errors import InvalidRequestError
from koe.model import open_model, preparing
from koe.styles import StyleBank, parse_voice


def prepare_model(model: Path, output: Path | None, model_version: str | None, voices: str = "") -> None:
    """Writes the bundle, with the voices of these names in it, and prints its path."""
    from koe.prepare import prepare

    if model_version not in (None, "1.0", "0.19"):
        raise InvalidRequestError(f"model version {model_version!r}: there are 1.0 and 0.19")
    bank = StyleBank()
    names = assets.voice_names() if voices.strip() == "all" else _names(voices)
    packs = {name: bank.pack(name).array for name in names}
    with preparing(None) as report:
        path = prepare(model, output, progress=report, voices=packs, model_version=model_version)
    typer.echo(path)


def fetch_files(voices: str, model: bool) -> None:
    """Fetches and prints the paths; the model is prepared as well."""
    paths = assets.fetch("all" if voices.strip() == "all" else _names(voices), model=model)
    if model:
        paths.insert(1, open_model(paths[0]).path)
    for path in paths:
        typer.echo(path)


def _names(voices: str) -> list[str]:
    return [name for part in voices.split(",") if part.strip() for name, _ in parse_voice(part)]
