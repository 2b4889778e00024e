# SPDX-License-Identifier: Apache-2.0
"""How far one recording is from another of the same utterance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WINDOW = 1024
HOP = 256


@dataclass(frozen=True)
class Distance:
    """A recording against its reference.

    Attributes:
        snr_db: the reference's energy over the difference's; infinite where they are the same.
        log_spectral_db: difference of the magnitudes' levels, root mean square over bins, mean over frames.
        loudness_db: level of the recording over the reference's, root mean square.
        peak: greatest magnitude of a sample; above 1 a file clips.
    """

    snr_db: float
    log_spectral_db: float
    loudness_db: float
    peak: float


def distance(reference: np.ndarray, other: np.ndarray) -> Distance:
    """Of two arrays of the same length, at least one window long."""
    if reference.shape != other.shape or reference.size < WINDOW:
        raise ValueError(f"{reference.shape} and {other.shape} are no two recordings of one utterance")
    a, b = reference.astype(np.float64), other.astype(np.float64)
    difference = np.linalg.norm(a - b)
    return Distance(
        snr_db=float("inf") if difference == 0 else _db(np.linalg.norm(a) / difference),
        log_spectral_db=float(np.mean(np.sqrt(np.mean((_levels(a) - _levels(b)) ** 2, axis=1)))),
        loudness_db=_db(np.linalg.norm(b) / np.linalg.norm(a)),
        peak=float(np.abs(b).max()),
    )


def _db(ratio: np.floating) -> float:
    return 20.0 * float(np.log10(ratio))


def _levels(samples: np.ndarray) -> np.ndarray:
    """20·log10(|S| + 1e-5) of each frame and bin, with a periodic Hann window.

    S is scaled by the window's sum: a sine of amplitude 1 has a bin of 0.5 whatever the window's length, and the floor
    lies 100 dB below 1. Unscaled, it would lie below the rounding of 16 bits, and inaudible bins would decide.
    """
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    window /= window.sum()
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    levels: np.ndarray = 20.0 * np.log10(np.abs(np.fft.rfft(frames * window)) + 1e-5)
    return levels
