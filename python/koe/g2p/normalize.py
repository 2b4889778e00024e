# SPDX-License-Identifier: Apache-2.0
"""Text in the spelling that espeak-ng and Kokoro's vocabulary know, with the way back to the original characters."""

import re
import unicodedata
from dataclasses import dataclass

# Each of these is one character of the vocabulary, a letter, or a space that espeak reads well.
_MAP: dict[str, str] = {
    **dict.fromkeys("‘’‛′`´ʼ", "'"),
    **dict.fromkeys("‟″", '"'),
    **dict.fromkeys("«‹„〈《「『〝", "“"),
    **dict.fromkeys("»›〉》」』〞〟", "”"),
    **dict.fromkeys("[{【〔〖（［｛", "("),
    **dict.fromkeys("]}】〕〗）］｝", ")"),
    **dict.fromkeys("、，﹐､", ", "),
    **dict.fromkeys("。．｡।॥", ". "),
    "！": "! ",
    "？": "? ",
    "；": "; ",
    "：": ": ",
    **dict.fromkeys("‥⋯", "…"),
    **dict.fromkeys("―⸺⸻─", "—"),
    **dict.fromkeys("‐‑−", "-"),
    "‒": "–",
    **dict.fromkeys("・~〜～", " "),
    **dict.fromkeys("¡¿", ""),
    "\N{REPLACEMENT CHARACTER}": "\N{REPLACEMENT CHARACTER}",
}
_FULL_WIDTH = range(0xFF01, 0xFF5F)
# Ligatures, letterlike symbols and mathematical alphabets spell ordinary letters.
_COMPATIBILITY = (range(0xFB00, 0xFB07), range(0x2100, 0x2150), range(0x1D400, 0x1D800))
_SPOKEN_SYMBOLS = "℃℉№℡™℠"
# espeak reads these scripts, or at least names their letters; it spells any other as numbers.
_READABLE = (
    "LATIN",
    "GREEK",
    "CYRILLIC",
    "DEVANAGARI",
    "HANGUL",
    "MODIFIER",
    "COMBINING",
    "VARIATION",
)


@dataclass(slots=True)
class NormalizedText:
    """Normalised text; of each of its characters, where it comes from.

    Attributes:
        text: the normalised text.
        spans: for each of its characters, the half-open span of the original characters.
        tags: for each of its characters, the number of the inline pronunciation it belongs to, or -1.
        dropped: original characters that cannot be read, with their positions.
    """

    text: str
    spans: list[tuple[int, int]]
    tags: list[int]
    dropped: list[tuple[int, str]]

    def substitute(self, pattern: str, replacement: str) -> None:
        """Replaces what matches; each new character comes from the whole match. Inline pronunciations stay."""
        out: list[str] = []
        spans: list[tuple[int, int]] = []
        tags: list[int] = []
        position = 0
        for match in re.finditer(pattern, self.text):
            start, end = match.span()
            if any(tag >= 0 for tag in self.tags[start:end]):
                continue
            new = match.expand(replacement)
            out += [self.text[position:start], new]
            whole = (self.spans[start][0], self.spans[end - 1][1])
            spans += [*self.spans[position:start], *[whole] * len(new)]
            tags += [*self.tags[position:start], *[-1] * len(new)]
            position = end
        out.append(self.text[position:])
        self.spans = spans + self.spans[position:]
        self.tags = tags + self.tags[position:]
        self.text = "".join(out)


def _is_readable(character: str) -> bool:
    if character.isascii() or unicodedata.category(character)[0] not in "LM":
        return True
    return unicodedata.name(unicodedata.normalize("NFKC", character)[0], "").startswith(_READABLE)


def _normalize_character(character: str) -> str:
    mapped = _MAP.get(character)
    if mapped is not None:
        return mapped
    code = ord(character)
    if code in _FULL_WIDTH:
        return chr(code - 0xFEE0)
    if any(code in block for block in _COMPATIBILITY) and character not in _SPOKEN_SYMBOLS:
        return unicodedata.normalize("NFKC", character)
    category = unicodedata.category(character)
    if character.isspace() or category.startswith("Z"):
        return " "
    if category == "Cs":
        return "\N{REPLACEMENT CHARACTER}"
    return "" if category in ("Cc", "Cf") else character


def _cluster_end(text: str, start: int) -> int:
    end = start + 1
    while end < len(text) and unicodedata.combining(text[end]):
        end += 1
    return end


class _Builder:
    def __init__(self) -> None:
        self.characters: list[str] = []
        self.spans: list[tuple[int, int]] = []
        self.tags: list[int] = []
        self.dropped: list[tuple[int, str]] = []

    def add(self, text: str, start: int, end: int, tag: int) -> None:
        """Normalises text[start:end] and appends it."""
        while start < end:
            stop = min(_cluster_end(text, start), end)
            cluster = text[start:stop]
            if len(cluster) > 1:
                cluster = unicodedata.normalize("NFC", cluster)
            for character in cluster:
                if tag < 0 and not _is_readable(character):
                    self.dropped.append((start, text[start:stop]))
                    # A gap, so that the words on both sides stay two words.
                    normalized = " "
                else:
                    normalized = _normalize_character(character)
                for new in normalized:
                    self.characters.append(new)
                    self.spans.append((start, stop))
                    self.tags.append(tag)
            start = stop


_INLINE = re.compile(r"\[([^\[\]\n]+)\]\(/([^/\n]*)/\)")


def normalize(text: str) -> tuple[NormalizedText, list[str]]:
    """Normalises a text and takes inline pronunciations, `[word](/fəˈnimz/)`, out of it.

    Returns:
        The normalised text, where inline pronunciations have left only their words, and their phonemes by tag.
    """
    builder = _Builder()
    pronunciations: list[str] = []
    position = 0
    for match in _INLINE.finditer(text):
        builder.add(text, position, match.start(), -1)
        builder.add(text, *match.span(1), len(pronunciations))
        pronunciations.append(" ".join(match.group(2).split()))
        position = match.end()
    builder.add(text, position, len(text), -1)
    normalized = NormalizedText("".join(builder.characters), builder.spans, builder.tags, builder.dropped)
    normalized.substitute(r"\.{3,}|(?:\. ){2,}\.", "…")
    normalized.substitute(r"-{2,}|(?<=\s)-(?=\s)|(?<!\d)–|–(?!\d)", "—")
    normalized.substitute(r"([;:,.!?…—\"“”()])\1+", r"\1")
    return normalized, pronunciations
