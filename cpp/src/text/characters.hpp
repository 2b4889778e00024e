// SPDX-License-Identifier: Apache-2.0
// Classes of characters, as far as splitting text needs them. No locale, no tables: ranges of the Unicode blocks.
#pragma once

#include <string_view>

namespace koe::text {

constexpr bool is_in(std::u32string_view set, char32_t c) noexcept { return set.find(c) != set.npos; }

/// Breaks a line. A carriage return is plain space, so that "\r\n" is one line break.
constexpr bool is_newline(char32_t c) noexcept { return is_in(U"\n\v\f\u0085\u2028\u2029", c); }

constexpr bool is_space(char32_t c) noexcept {
  return c == U' ' || (c >= 0x9 && c <= 0xD) || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

constexpr bool is_digit(char32_t c) noexcept { return c >= U'0' && c <= U'9'; }

constexpr bool is_ascii_letter(char32_t c) noexcept { return (c | 0x20) >= U'a' && (c | 0x20) <= U'z'; }

/// Lower-case letters of the Latin, Greek, Cyrillic and Armenian blocks.
constexpr bool is_lower(char32_t c) noexcept {
  if (c < 0x80) return c >= U'a' && c <= U'z';
  const bool odd = (c & 1) != 0;
  if (c <= 0xFF) return c >= 0xDF && c != 0xF7;
  if (c <= 0x17F) {
    if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E)) return !odd;
    return c == 0x138 || c == 0x149 || (odd && c != 0x178);
  }
  if (c >= 0x250 && c <= 0x2AF) return true;
  if (c >= 0x370 && c <= 0x3FF) return c >= 0x3AC && c <= 0x3CE;
  if (c >= 0x400 && c <= 0x52F) return c >= 0x430 && (c <= 0x45F || odd);
  if (c >= 0x561 && c <= 0x587) return true;
  return c >= 0x1E00 && c <= 0x1EFF && odd;
}

/// Upper-case letters of the same blocks.
constexpr bool is_upper(char32_t c) noexcept {
  if (c < 0x80) return c >= U'A' && c <= U'Z';
  if (c <= 0xFF) return c >= 0xC0 && c <= 0xDE && c != 0xD7;
  if (c <= 0x17F || (c >= 0x1E00 && c <= 0x1EFF)) return !is_lower(c);
  if (c >= 0x370 && c <= 0x3FF) return c >= 0x386 && c <= 0x3AB && c != 0x387 && c != 0x390;
  if (c >= 0x400 && c <= 0x52F) return !is_lower(c) && (c < 0x482 || c > 0x489);
  return c >= 0x531 && c <= 0x556;
}

/// Ideographs, kana, hangul: scripts that put no space after a stop.
constexpr bool is_cjk(char32_t c) noexcept {
  return (c >= 0x2E80 && c <= 0x2FDF) || (c >= 0x3005 && c <= 0x3007) || (c >= 0x3021 && c <= 0x3029) ||
         (c >= 0x3031 && c <= 0x30FF && c != 0x30FB) || (c >= 0x3100 && c <= 0x9FFF) || (c >= 0xAC00 && c <= 0xD7FF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x20000 && c <= 0x3FFFF);
}

/// Pictographs and what is written with them (variation selectors, joiner, skin tones, tags).
constexpr bool is_emoji(char32_t c) noexcept {
  return (c >= 0x1F000 && c <= 0x1FAFF) || (c >= 0x2600 && c <= 0x27BF) || (c >= 0xFE00 && c <= 0xFE0F) || c == 0x200D ||
         c == 0x20E3 || c == 0x2B50 || c == 0x2B55 || (c >= 0xE0020 && c <= 0xE007F);
}

/// Belongs to the character before it: combining marks, joiners, selectors, modifiers.
constexpr bool is_attached(char32_t c) noexcept {
  return (c >= 0x300 && c <= 0x36F) || (c >= 0x483 && c <= 0x489) || (c >= 0x591 && c <= 0x5BD) ||
         (c >= 0x64B && c <= 0x65F) || (c >= 0x93A && c <= 0x94F) || (c >= 0xE31 && c <= 0xE3A && c != 0xE32) ||
         (c >= 0xE47 && c <= 0xE4E) || (c >= 0x1AB0 && c <= 0x1AFF) || (c >= 0x1DC0 && c <= 0x1DFF) || c == 0x200C ||
         c == 0x200D || (c >= 0x20D0 && c <= 0x20FF) || (c >= 0x3099 && c <= 0x309C) || (c >= 0xFE00 && c <= 0xFE0F) ||
         (c >= 0xFE20 && c <= 0xFE2F) || (c >= 0x1F3FB && c <= 0x1F3FF) || (c >= 0xE0020 && c <= 0xE01EF);
}

/// A letter or digit of any script: something to say. Not space, control, punctuation, symbol or mark.
constexpr bool is_word(char32_t c) noexcept {
  if (c < 0x80) return is_ascii_letter(c) || is_digit(c);
  if (c < 0xC0) return c == 0xAA || c == 0xB2 || c == 0xB3 || c == 0xB5 || c == 0xB9 || c == 0xBA || (c >= 0xBC && c <= 0xBE);
  if (c == 0xD7 || c == 0xF7 || is_space(c) || is_attached(c) || is_emoji(c)) return false;
  if (c >= 0x2000 && c <= 0x2BFF) return (c >= 0x2070 && c <= 0x209F) || (c >= 0x2100 && c <= 0x218F) || (c >= 0x2460 && c <= 0x249B);
  if (c >= 0x2E00 && c <= 0x2E7F) return false;
  if (c >= 0x3000 && c <= 0x3030) return (c >= 0x3005 && c <= 0x3007) || (c >= 0x3021 && c <= 0x3029);
  if (c >= 0xFE10 && c <= 0xFE6F) return false;
  if (c >= 0xFF00 && c <= 0xFF65) {
    return (c >= 0xFF10 && c <= 0xFF19) || (c >= 0xFF21 && c <= 0xFF3A) || (c >= 0xFF41 && c <= 0xFF5A);
  }
  return c != 0x37E && c != 0x387 && c != 0x589 && c != 0x58A && c != 0x5BE && c != 0x5F3 && c != 0x5F4 && c != 0x60C &&
         c != 0x61B && c != 0x61F && c != 0x66A && c != 0x66C && c != 0x6D4 && c != 0x964 && c != 0x965 && c != 0x1362 &&
         c != 0x30FB && c != 0xFEFF && !(c >= 0xE000 && c <= 0xF8FF) && !(c >= 0xFFF0 && c <= 0xFFFF);
}

/// Ends a sentence if what follows agrees. Those in kFullWidthStops need no space after them.
inline constexpr std::u32string_view kStops = U".!?…‽⁇⁈⁉؟۔।॥։።。！？｡．";
inline constexpr std::u32string_view kFullWidthStops = U"。！？｡．";
constexpr bool is_stop(char32_t c) noexcept { return is_in(kStops, c); }
constexpr bool is_full_width_stop(char32_t c) noexcept { return is_in(kFullWidthStops, c); }

constexpr bool is_closing_mark(char32_t c) noexcept { return is_in(U"\"'”’)]}»›」』）】》〉］｝", c); }
constexpr bool is_opening_mark(char32_t c) noexcept { return is_in(U"\"'“‘„‚([{«‹「『（【《〈［｛¿¡", c); }
/// Markdown's marks of emphasis and code, which may stand on either side of a word.
constexpr bool is_emphasis(char32_t c) noexcept { return is_in(U"*_~`", c); }

}  // namespace koe::text
