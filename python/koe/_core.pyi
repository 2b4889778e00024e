# SPDX-License-Identifier: Apache-2.0
"""koe's C++ core on NumPy arrays."""

__version__: str

class Error(RuntimeError):
    """A bad model, voice or device."""

# --- text: tokenizer, sentence splitter, chunker ---

# --- voice: style packs ---

# --- model: bundles ---

# --- vocoder ---

# --- audio: stitching ---
