# SPDX-License-Identifier: Apache-2.0
"""From a path, or nothing, to an open bundle."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from koe import _core, assets
from koe.assets.progress import terminal_progress

_MAGIC = b"GGUF"
_STEPS = 1000


def open_model(path: str | os.PathLike[str] | None = None, show_progress: bool | None = None) -> _core.Bundle:
    """The bundle of a model, which is prepared and cached where it is still an ONNX export.

    Args:
        path: an ONNX export or a bundle; None takes `KOE_MODEL`, then koe's own model.
        show_progress: draw bars; None for on a terminal.

    Raises:
        ModelNotFoundError: there is no such file, or no source has the model.
        InvalidModelError: it isn't Kokoro, or is damaged.
    """
    from koe.prepare.bundle import open_bundle

    source = assets.model_file(path, progress=show_progress)
    if is_bundle(source.path):
        return open_bundle(source.path)
    return _prepared(source, show_progress)


def is_bundle(path: Path) -> bool:
    """Whether a file begins like a bundle."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def _prepared(source: assets.ModelFile, show_progress: bool | None) -> _core.Bundle:
    from koe.prepare import open_cached

    with preparing(show_progress) as report:
        return open_cached(source.path, assets.bundle_cache_dir(), report, sha256=source.sha256)


@contextmanager
def preparing(show_progress: bool | None) -> Iterator[Callable[[str, float], None]]:
    """A bar for `koe.prepare`, as the callback that it takes."""
    with terminal_progress(show_progress).task("Preparing the model", _STEPS) as advance:
        done = 0

        def report(_: str, share: float) -> None:
            nonlocal done
            steps = round(share * _STEPS)
            advance(max(0, steps - done))
            done = max(done, steps)

        yield report
