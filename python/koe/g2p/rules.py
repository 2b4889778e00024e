# SPDX-License-Identifier: Apache-2.0
"""From espeak-ng's phonemes to Kokoro's; the rules themselves are the core's, so that C++ programs have the same."""

from koe import _core
from koe.voice import Language

RULES_V1_0 = "1.0"
RULES_V0_19 = "0.19"


def apply_rules(phonemes: str, language: Language, rules: str = RULES_V1_0) -> str:
    """Kokoro's phonemes for espeak-ng's, `^` being the tie.

    Raises:
        ValueError: there is no such rule set.
    """
    return _core.apply_phoneme_rules(phonemes, language.value, rules)
