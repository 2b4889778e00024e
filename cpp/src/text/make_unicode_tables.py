# SPDX-License-Identifier: Apache-2.0
"""Writes unicode_properties.inc and unicode_compositions.inc from the Unicode data of the Python that runs it."""

import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path

# espeak-ng reads these scripts, or at least names their letters; it spells any other as numbers.
READABLE = ("LATIN", "GREEK", "CYRILLIC", "DEVANAGARI", "HANGUL", "MODIFIER", "COMBINING", "VARIATION")
# Ligatures, letterlike symbols and mathematical alphabets spell ordinary letters.
COMPATIBILITY = (range(0xFB00, 0xFB07), range(0x2100, 0x2150), range(0x1D400, 0x1D800))
SPOKEN_SYMBOLS = "℃℉№℡™℠"
HANGUL = range(0xAC00, 0xD7A4)


def properties(code: int) -> int:
    """The bits of `enum Property` in unicode.hpp, in its order."""
    c = chr(code)
    category = unicodedata.category(c)
    if category == "Cs":
        return 0
    bits = (
        category[0] == "L",
        category[0] in "LNS",
        c.isalnum(),
        c.isdigit(),
        c.isdecimal(),
        c.isupper(),
        c.isspace() or category[0] == "Z",
        category in ("Cc", "Cf"),
        not is_readable(c),
    )
    return sum(bit << i for i, bit in enumerate(bits))


def is_readable(c: str) -> bool:
    """Whether espeak-ng makes more of a letter or mark than its number."""
    if c.isascii() or unicodedata.category(c)[0] not in "LM":
        return True
    return unicodedata.name(unicodedata.normalize("NFKC", c)[0], "").startswith(READABLE)


def changes(value: Callable[[int], int], limit: int = 0x110000) -> list[tuple[int, int]]:
    """Where a value changes, and to what."""
    found: list[tuple[int, int]] = []
    for code in range(limit):
        now = value(code)
        if not found or found[-1][1] != now:
            found.append((code, now))
    return found


def decompositions() -> list[tuple[int, int, int, int]]:
    """Code, its canonical decomposition (one or two codes), and whether the pair composes again."""
    found = []
    for code in range(0x110000):
        mapping = unicodedata.decomposition(chr(code))
        if not mapping or mapping.startswith("<") or code in HANGUL or not is_readable(chr(code)):
            continue
        first, second = [*(int(part, 16) for part in mapping.split()), 0][:2]
        composes = second != 0 and unicodedata.normalize("NFC", chr(first) + chr(second)) == chr(code)
        found.append((code, first, second, int(composes)))
    return found


def compatibility() -> tuple[list[tuple[int, int, int]], list[tuple[int, str]]]:
    """Runs of characters that spell consecutive single ones, and those that spell several."""
    runs: list[tuple[int, int, int]] = []
    longer = []
    for code in (code for block in sorted(COMPATIBILITY, key=lambda b: b.start) for code in block):
        spelled = unicodedata.normalize("NFKC", chr(code))
        if spelled == chr(code) or chr(code) in SPOKEN_SYMBOLS:
            continue
        if len(spelled) > 1:
            longer.append((code, spelled))
        elif runs and runs[-1][1] == code - 1 and ord(spelled) - code == runs[-1][2] - runs[-1][0]:
            runs[-1] = (runs[-1][0], code, runs[-1][2])
        else:
            runs.append((code, code, ord(spelled)))
    return runs, longer


def literal(text: str) -> str:
    """A UTF-32 literal of C++."""
    return 'U"' + "".join(c if c.isascii() else f"\\u{ord(c):04x}" for c in text) + '"'


def table(declaration: str, entries: Iterable[str]) -> str:
    lines = [""]
    for entry in entries:
        if len(lines[-1]) + len(entry) > 117:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "  ") + entry
    return f"{declaration} = {{\n" + "\n".join(lines) + "\n};\n"


def main() -> None:
    head = (
        "// SPDX-License-Identifier: Apache-2.0\n"
        f"// Written by make_unicode_tables.py from Unicode {unicodedata.unidata_version}; not to be edited.\n"
    )
    folder = Path(__file__).parent
    (folder / "unicode_properties.inc").write_text(
        head
        + "// Where the properties change, and to what: code << 11 | bits.\n"
        + table(
            "constexpr std::uint32_t kProperties[]", (f"0x{code << 11 | bits:x}," for code, bits in changes(properties))
        )
    )
    classes = changes(lambda code: unicodedata.combining(chr(code)))
    runs, longer = compatibility()
    (folder / "unicode_compositions.inc").write_text(
        head
        + "// Where the canonical combining class changes, and to what: code << 8 | class.\n"
        + table("constexpr std::uint32_t kCombiningClasses[]", (f"0x{c << 8 | value:x}," for c, value in classes))
        + "\n// Code, canonical decomposition, and whether that composes again.\n"
        + table(
            "constexpr Decomposition kDecompositions[]",
            (f"{{0x{c:x}, 0x{a:x}, 0x{b:x}, {again}}}," for c, a, b, again in decompositions()),
        )
        + "\n// First and last code of a run, and what the first spells.\n"
        + table("constexpr SpellingRun kSpellingRuns[]", (f"{{0x{a:x}, 0x{b:x}, 0x{c:x}}}," for a, b, c in runs))
        + "\n"
        + table(
            "constexpr Spelling kSpellings[]",
            (f"{{0x{c:x}, {literal(spelled)}}}," for c, spelled in longer),
        )
    )


main()
