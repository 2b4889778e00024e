# SPDX-License-Identifier: Apache-2.0
"""koe's errors, all derived from `TTSError`; a message says what was wrong, the value, and what to do."""


class TTSError(Exception):
    """Base of koe's errors."""


class ModelNotFoundError(TTSError, FileNotFoundError):
    """No model could be had from any of its sources, or the given path does not exist."""


class InvalidModelError(TTSError, ValueError):
    """A model file is not Kokoro, or a bundle is damaged."""


class VoiceNotFoundError(TTSError, LookupError):
    """No voice has this name, or its file could not be had."""


class InvalidVoiceError(TTSError, ValueError):
    """A voice file has the wrong size, holds values that are not finite, or is not a style pack."""


class InvalidRequestError(TTSError, ValueError):
    """A value of the caller's is out of its range: speed 0, an empty mix, an unknown language."""


class DownloadError(TTSError, OSError):
    """An asset could not be had: every source that was tried, and why it failed."""


class MetalUnavailableError(TTSError, RuntimeError):
    """Metal was asked for on a machine or a build without it."""


class G2PError(TTSError, RuntimeError):
    """Text could not be turned into phonemes."""


class PlaybackError(TTSError, RuntimeError):
    """Sound can't be played: a package or an output device is missing."""
