# SPDX-License-Identifier: Apache-2.0
"""Graphemes to phonemes: the protocol, and espeak-ng behind it."""

from koe.g2p.espeak import EspeakG2P
from koe.g2p.phonemes import G2P, Phonemes, WordSpan
from koe.g2p.rules import RULES_V0_19, RULES_V1_0, apply_rules

__all__ = ["G2P", "RULES_V0_19", "RULES_V1_0", "EspeakG2P", "Phonemes", "WordSpan", "apply_rules"]
