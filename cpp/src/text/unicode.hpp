// SPDX-License-Identifier: Apache-2.0
// What Unicode says of characters, as far as G2P needs it; the tables are those of one Unicode release for every platform.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace koe::text {

enum Property : std::uint32_t {
  kLetter = 1 << 0,      ///< category L
  kSpeakable = 1 << 1,   ///< category L, N or S: leaving it out is worth a word
  kAlphanumeric = 1 << 2,
  kDigit = 1 << 3,       ///< superscripts too
  kDecimal = 1 << 4,     ///< category Nd
  kUpper = 1 << 5,
  kSpace = 1 << 6,       ///< category Z and the ASCII separators
  kInvisible = 1 << 7,   ///< category Cc or Cf
  kUnreadable = 1 << 8,  ///< a letter or mark of a script that espeak-ng would only spell out as numbers
};

/// All properties of a code point.
std::uint32_t properties(char32_t c) noexcept;

inline bool has(char32_t c, Property property) noexcept { return (properties(c) & property) != 0; }

/// Canonical_Combining_Class; 0 for what begins a new character.
std::uint8_t combining_class(char32_t c) noexcept;

/// Normalization form C (https://www.unicode.org/reports/tr15/) of one character and the marks on it, of readable scripts.
std::u32string compose(std::u32string_view cluster);

/// What a ligature, letterlike symbol or mathematical letter spells (form KC); empty for every other character.
std::u32string spelling(char32_t c);

}  // namespace koe::text
