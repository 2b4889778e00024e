# SPDX-License-Identifier: Apache-2.0
"""Prosody: speed, pitch, energy and pauses, changed between the acoustic model and the vocoder.

The acoustic model gives durations, a pitch curve and an energy curve before any sample exists, so a single word can be
slowed, raised or stressed without touching its neighbours.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from koe.errors import InvalidRequestError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from koe.acoustic import AcousticFrames

MIN_SPEED = 0.25
MAX_SPEED = 4.0
MAX_PAUSE_S = 60.0
_RANGES = {
    "speed": (MIN_SPEED, MAX_SPEED),
    "pitch": (-12.0, 12.0),
    "pitch_range": (0.0, 3.0),
    "energy": (-4.0, 4.0),
    "energy_range": (0.0, 3.0),
}
# Below this the harmonic source is silent; the curve there is no pitch.
_VOICED_HZ = 10.0
# Changes of pitch and energy glide over this many half-frames (62 ms).
_GLIDE = 5


@dataclass(frozen=True, slots=True)
class Prosody:
    """How to speak; by default as the voice does.

    Attributes:
        speed: a factor on the call's speed, 0.25 to 4; 2 is twice as fast.
        pitch: semitones up, -12 to 12.
        pitch_range: factor on the melody's distance from its median, 0 (monotone) to 3.
        energy: offset of the energy curve, -4 to 4, in its unit, natural logarithms of the mel spectrum's norm. The
            vocoder normalises its layers over time, so a word alone gets clearly louder by it, a whole text less so.
        energy_range: factor on the energy curve's distance from its mean, 0 to 3.

    Raises:
        InvalidRequestError: a value is out of its range.
    """

    speed: float = 1.0
    pitch: float = 0.0
    pitch_range: float = 1.0
    energy: float = 0.0
    energy_range: float = 1.0

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not is_number or not math.isfinite(value) or not low <= value <= high:
                raise InvalidRequestError(f"{name} = {value!r}: it is a number from {low:g} to {high:g}")

    def __or__(self, inner: "Prosody") -> "Prosody":
        """Both: offsets add, factors multiply.

        Raises:
            InvalidRequestError: together they are out of range.
        """
        return Prosody(
            self.speed * inner.speed,
            self.pitch + inner.pitch,
            self.pitch_range * inner.pitch_range,
            self.energy + inner.energy,
            self.energy_range * inner.energy_range,
        )


NEUTRAL = Prosody()
EMPHASIS = Prosody(speed=0.85, pitch=1.5, energy=1.5)
"""Stress on a word or a few."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the text with a prosody of its own.

    Attributes:
        start: its first character.
        end: the character after its last.
        prosody: applied on top of the call's.

    Raises:
        InvalidRequestError: the stretch is empty or begins before the text.
    """

    start: int
    end: int
    prosody: Prosody

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise InvalidRequestError(f"a span from {self.start} to {self.end}: it holds at least one character")
        if not isinstance(self.prosody, Prosody):
            raise InvalidRequestError(f"a span's prosody is a Prosody, not {type(self.prosody).__name__}")


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence added at a place of the text.

    Attributes:
        position: before this character.
        seconds: more than 0, at most 60.

    Raises:
        InvalidRequestError: a value is out of its range.
    """

    position: int
    seconds: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.seconds) or not 0 < self.seconds <= MAX_PAUSE_S:
            raise InvalidRequestError(f"a pause of {self.seconds:g} s: it is above 0 and at most {MAX_PAUSE_S:g} s")


@dataclass(frozen=True, slots=True)
class Directions:
    """What a text's marks and its caller ask for, by character.

    Attributes:
        spans: where they overlap, they add up.
        pauses: in order; those at one place add up to at most 60 s.
        base: of the whole text.
    """

    spans: tuple[Span, ...] = ()
    pauses: tuple[Pause, ...] = ()
    base: Prosody = NEUTRAL

    def between(self, start: int, end: int) -> Prosody:
        """The prosody of a word: all spans that touch it."""
        prosody = self.base
        for span in self.spans:
            if span.start < end and start < span.end:
                prosody |= span.prosody
        return prosody


# A tag is read as one only if it is well formed; anything else in brackets is text.
TAG = re.compile(
    r"\[(?:(?P<pause>pause) ?: ?(?P<time>\d{1,6}(?:\.\d{0,6})?|\.\d{1,6}) ?(?P<unit>ms|s)"
    r"|(?P<name>speed|pitch|energy) ?: ?(?P<value>[+-]?(?:\d{1,6}(?:\.\d{0,6})?|\.\d{1,6}))"
    r"|(?P<emphasis>emphasis)|/(?P<end>speed|pitch|energy|emphasis))\]"
)
LONGEST_TAG = 40


@dataclass(frozen=True, slots=True)
class Opening:
    """A tag that begins a stretch of the text."""

    name: str
    prosody: Prosody


@dataclass(frozen=True, slots=True)
class Closing:
    """A tag that ends the innermost stretch of its name."""

    name: str


Tag = Opening | Closing | float
"""A float is a pause in seconds."""


def read_tag(match: "re.Match[str]") -> Tag:
    """What a match of `TAG` says.

    Raises:
        InvalidRequestError: its value is out of range.
    """
    if match["pause"]:
        seconds = float(match["time"]) / (1000 if match["unit"] == "ms" else 1)
        return Pause(0, seconds).seconds
    if match["name"]:
        return Opening(match["name"], replace(NEUTRAL, **{match["name"]: float(match["value"])}))
    if match["emphasis"]:
        return Opening("emphasis", EMPHASIS)
    return Closing(match["end"])


class TagReader:
    """Follows the tags of a text as it comes, and says which prosody holds."""

    def __init__(self, base: Prosody = NEUTRAL) -> None:
        """
        Args:
            base: of the whole text; what the tags say must be in range on top of it.
        """
        self._base = base
        self._open: list[Opening] = []
        self.prosody = NEUTRAL

    def read(self, tag: Opening | Closing) -> None:
        """Takes the next tag; one that closes nothing changes nothing.

        Raises:
            InvalidRequestError: nested stretches together are out of range; the tag is then without effect.
        """
        if isinstance(tag, Opening):
            prosody = self.prosody | tag.prosody
            _ = self._base | prosody
            self.prosody = prosody
            self._open.append(tag)
            return
        for i in range(len(self._open) - 1, -1, -1):
            if self._open[i].name == tag.name:
                del self._open[i]
                break
        self.prosody = NEUTRAL
        for opening in self._open:
            self.prosody |= opening.prosody


def neutral(prosodies: Iterable[Prosody]) -> bool:
    """Whether there is nothing to change."""
    return all(prosody == NEUTRAL for prosody in prosodies)


def direct(frames: "AcousticFrames", prosodies: Sequence[Prosody]) -> "AcousticFrames":
    """The acoustic model's output, spoken otherwise.

    Args:
        frames: of L tokens.
        prosodies: for each token and the pads at both ends, [L + 2].
    """
    import numpy as np

    from koe.acoustic import AcousticFrames

    if neutral(prosodies):
        return frames
    old = frames.durations
    speed = np.array([p.speed for p in prosodies])
    new = np.where(speed == 1, old, np.maximum(1, np.rint(old / speed))).astype(np.int64)
    token = np.repeat(np.arange(len(new)), new)
    starts = np.cumsum(old) - old
    asr = np.ascontiguousarray(frames.asr[:, :, starts[token]])
    where = _half_frames(old, new)
    f0 = _resampled_pitch(frames.f0[0].astype(np.float64), where)
    n = np.interp(where, np.arange(frames.n.shape[1]), frames.n[0])
    curves = {
        field.name: _glide(np.repeat([float(getattr(p, field.name)) for p in prosodies], 2 * new))
        for field in fields(Prosody)
        if field.name != "speed"
    }
    voiced = f0 > _VOICED_HZ
    if voiced.any():
        middle = np.median(np.log2(f0[voiced]))
        octaves = middle + (np.log2(f0[voiced]) - middle) * curves["pitch_range"][voiced] + curves["pitch"][voiced] / 12
        f0[voiced] = np.clip(np.exp2(octaves), 2 * _VOICED_HZ, 2000)
        mean = n[voiced].mean()
        n = mean + (n - mean) * curves["energy_range"] + curves["energy"]
    return AcousticFrames(asr, f0[None].astype(np.float32), n[None].astype(np.float32), new)


def _half_frames(old: "npt.NDArray[np.int64]", new: "npt.NDArray[np.int64]") -> "npt.NDArray[np.float64]":
    """For each new half-frame its place among the old ones."""
    import numpy as np

    old_edges = 2.0 * np.concatenate([[0], np.cumsum(old)])
    new_edges = 2.0 * np.concatenate([[0], np.cumsum(new)])
    places: npt.NDArray[np.float64] = np.interp(np.arange(2 * int(new.sum())) + 0.5, new_edges, old_edges) - 0.5
    return places


def _resampled_pitch(f0: "npt.NDArray[np.float64]", where: "npt.NDArray[np.float64]") -> "npt.NDArray[np.float64]":
    """Pitch at other places; between voiced and unvoiced the nearer one, since their mean is neither."""
    import numpy as np

    where = np.clip(where, 0, len(f0) - 1)
    low = np.floor(where).astype(np.int64)
    high = np.minimum(low + 1, len(f0) - 1)
    share = where - low
    mixed = f0[low] + (f0[high] - f0[low]) * share
    is_edge = (f0[low] > _VOICED_HZ) != (f0[high] > _VOICED_HZ)
    return np.where(is_edge, np.where(share < 0.5, f0[low], f0[high]), mixed)


def _glide(curve: "npt.NDArray[np.float64]") -> "npt.NDArray[np.float64]":
    """The curve without steps."""
    import numpy as np

    if len(curve) == 0 or (curve == curve[0]).all():
        return curve
    padded = np.pad(curve, _GLIDE // 2, mode="edge")
    smooth: npt.NDArray[np.float64] = np.convolve(padded, np.full(_GLIDE, 1 / _GLIDE), mode="valid")
    return smooth
