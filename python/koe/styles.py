# SPDX-License-Identifier: Apache-2.0
"""Voices by name: single ones and mixes, opened once and kept."""

import os
import re
from functools import lru_cache

from koe import _core, assets
from koe.errors import InvalidRequestError, InvalidVoiceError

_SURROGATE = re.compile("[\ud800-\udfff]")


class StyleBank:
    """Style packs by voice spec. Thread-safe."""

    def __init__(
        self, path: str | os.PathLike[str] | None = None, cache_size: int = 16, show_progress: bool | None = None
    ) -> None:
        """
        Args:
            path: the user's voices, as in `Config.voicepack_path`.
            cache_size: how many packs stay open.
            show_progress: draw a bar while voices are fetched; None for on a terminal.
        """
        self._path = path
        self._show_progress = show_progress
        self._single = lru_cache(maxsize=cache_size)(self._open)
        self._mixed = lru_cache(maxsize=cache_size)(self._mix)

    def names(self) -> list[str]:
        """All voices that can be had, sorted."""
        return assets.voice_names(self._path)

    def pack(self, spec: str) -> _core.StylePack:
        """The pack for a name, or a mix such as "af_bella:0.6,af_sarah:0.4".

        Raises:
            InvalidRequestError: the spec is malformed.
            VoiceNotFoundError: there is no such voice, or it can't be had.
            InvalidVoiceError: its file is damaged, or the packs of a mix don't fit together.
        """
        return self._mixed(tuple(parse_voice(spec)))

    def _mix(self, parts: tuple[tuple[str, float], ...]) -> _core.StylePack:
        packs = [self._single(name) for name, _ in parts]
        if len(packs) == 1:
            return packs[0]
        try:
            return _core.mix_styles(packs, [weight for _, weight in parts])
        except ValueError as error:
            names = ", ".join(name for name, _ in parts)
            raise InvalidVoiceError(f"the voices {names} can't be mixed: {error}") from error

    def _open(self, name: str) -> _core.StylePack:
        file = assets.voice_path(name, self._path, progress=self._show_progress)
        try:
            return _core.StylePack.open(file.path, file.member or "")
        except (_core.Error, ValueError) as error:
            raise InvalidVoiceError(f"voice {name!r}: {error}") from error


def parse_voice(spec: str) -> list[tuple[str, float]]:
    """Voices and weights of a spec; the weights sum to 1.

    Raises:
        InvalidRequestError: it is malformed.
    """
    if not isinstance(spec, str):
        raise InvalidRequestError(f"voice = {spec!r}: it is a name or a mix, as text")
    try:
        return _core.parse_voice_spec(without_surrogates(str(spec)))
    except ValueError as error:
        raise InvalidRequestError(f"voice {spec!r}: {error}") from error


def without_surrogates(text: str) -> str:
    """The text with U+FFFD for each lone surrogate, which UTF-8 can't hold; as many characters as before."""
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
