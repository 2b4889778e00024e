# SPDX-License-Identifier: Apache-2.0
"""What every result file has: what ran, on what, and with which versions."""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
import sys
from pathlib import Path

from koe.bench import processor_name

RESULTS = Path(__file__).with_name("results")


def header(title: str, *distributions: str) -> str:
    """The first lines of a result file; the versions are those of installed distributions."""
    versions = [f"Python {platform.python_version()}"]
    for name in ("koe", "onnxruntime", *distributions):
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            if name == "koe":
                import koe

                versions.append(f"koe {koe.__version__}")
    command = shlex.join(["python", *sys.argv])
    return f"# {title}\n\n{processor_name()}; {platform.system()}; {', '.join(versions)}\n\n    {command}\n"


def table(columns: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def write(path: Path, *parts: str) -> None:
    """Writes a result file, and shows it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join(parts)
    path.write_text(text, encoding="utf-8")
    print(text)
