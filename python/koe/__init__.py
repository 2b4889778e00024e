# SPDX-License-Identifier: Apache-2.0
"""koe: Kokoro-82M text-to-speech on the listener's own machine."""

from koe._core import __version__

__all__ = ["__version__"]
