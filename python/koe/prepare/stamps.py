# SPDX-License-Identifier: Apache-2.0
"""What a model's sha256 was, kept beside its bundle, so that a start need not read the whole model again."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

# A file that is as new as this could be written again within one tick of its clock, unseen.
_SETTLED_NS = 2_000_000_000


def identities(files: Iterable[Path]) -> dict[str, list[int]]:
    """What changes when a file does: size, time and inode, by absolute path.

    Raises:
        OSError: if one can't be asked.
    """
    found = {}
    for file in files:
        status = file.stat()
        found[str(file.absolute())] = [status.st_size, status.st_mtime_ns, status.st_ino]
    return found


def recall(model: Path, folder: Path) -> str | None:
    """The model's sha256 where a stamp in `folder` tells it and no file of the model has changed since."""
    try:
        stamp = json.loads(_place(model, folder).read_bytes())
        sha256, files = stamp["sha256"], stamp["files"]
        if str(model.absolute()) in files and files == identities(map(Path, files)):
            return str(sha256)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def remember(model: Path, folder: Path, files: dict[str, list[int]], sha256: str) -> None:
    """Writes the stamp; a folder that only others may write goes without.

    Args:
        files: `identities` of the model's files, from before they were hashed.
    """
    if time.time_ns() - max(identity[1] for identity in files.values()) < _SETTLED_NS:
        return
    place = _place(model, folder)
    part = place.with_name(f"{place.name}.{secrets.token_hex(4)}.part")
    with suppress(OSError):
        try:
            part.write_text(json.dumps({"sha256": sha256, "files": files}), encoding="ascii")
            part.replace(place)
        finally:
            part.unlink(missing_ok=True)


def _place(model: Path, folder: Path) -> Path:
    return folder / f".{hashlib.sha256(os.fsencode(model.absolute())).hexdigest()[:32]}.source"
