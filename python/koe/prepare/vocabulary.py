# SPDX-License-Identifier: Apache-2.0
"""What differs between Kokoro's versions and isn't in the graph: vocabulary, style row, phoneme rules."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

MODEL_VERSIONS = ("1.0", "0.19")


@dataclass(frozen=True)
class ModelVersion:
    """Facts of one Kokoro version that the engine needs beside the weights."""

    name: str
    vocabulary: Mapping[str, int]
    style_row: str
    phoneme_rules: str


@cache
def model_version(name: str) -> ModelVersion:
    """The facts of version `name`, one of `MODEL_VERSIONS`.

    Raises:
        ValueError: for another name.
    """
    if name not in MODEL_VERSIONS:
        raise ValueError(f"model version {name!r} is unknown; koe knows {', '.join(MODEL_VERSIONS)}")
    text = resources.files(__package__).joinpath("vocabularies.toml").read_text(encoding="utf-8")
    style_row = "phonemes_minus_one" if name == "1.0" else "tokens"
    return ModelVersion(name, tomllib.loads(text)[name], style_row, name)
