# SPDX-License-Identifier: Apache-2.0
"""Fails unless the wheel and sdist in the folder given hold what they must, and the wheel nothing else."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path, PurePosixPath

LICENCES = {"LICENSE", "THIRD_PARTY_NOTICES.md"}


def tracked(folder: str) -> set[str]:
    listing = subprocess.run(["git", "ls-files", "-z", folder], capture_output=True, check=True, text=True)
    return {name for name in listing.stdout.split("\0") if name}


def check_wheel(path: Path) -> None:
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        (metadata_name,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(wheel.read(metadata_name))
        info = PurePosixPath(metadata_name).parent
        for licence in LICENCES:
            assert wheel.read(f"{info}/licenses/{licence}"), f"{licence} is missing or empty"
    assert metadata["License-Expression"] == "Apache-2.0", metadata["License-Expression"]
    sources = {name.removeprefix("python/") for name in tracked("python/koe")}
    binaries = {name for name in names if PurePosixPath(name).match("koe/_core*.so")}
    assert len(binaries) == 1, binaries
    rest = {name for name in names if not name.startswith(f"{info}/")} - binaries
    assert rest == sources, f"only in one of wheel and python/koe: {sorted(rest ^ sources)}"
    assert {"koe/py.typed", "koe/_core.pyi", "koe/assets/manifest.toml"} <= rest
    print(f"{path.name}: {len(names)} files, {path.stat().st_size / 1e6:.2f} MB")


def check_sdist(path: Path) -> None:
    with tarfile.open(path) as sdist:
        root = path.name.removesuffix(".tar.gz")
        names = {name.removeprefix(f"{root}/") for name in sdist.getnames()}
    wanted = {"pyproject.toml", "CMakeLists.txt", "README.md", "CHANGELOG.md", *LICENCES}
    wanted |= tracked("cpp") | tracked("python") | tracked("tests")
    assert wanted <= names, f"not in the sdist: {sorted(wanted - names)}"
    print(f"{path.name}: {len(names)} files, {path.stat().st_size / 1e6:.2f} MB")


def main() -> None:
    folder = Path(sys.argv[1])
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    check_wheel(wheel)
    check_sdist(sdist)


main()
