// SPDX-License-Identifier: Apache-2.0
#include "text/unicode.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>

namespace koe::text {
namespace {

struct Decomposition {
  char32_t code;
  char32_t first;
  char32_t second;  // 0 where there is only one
  bool composes;
};

struct SpellingRun {
  char32_t first;
  char32_t last;
  char32_t spells;
};

struct Spelling {
  char32_t code;
  const char32_t* text;
};

#include "text/unicode_compositions.inc"
#include "text/unicode_properties.inc"

/// The entry at or before `c` in a table of codes shifted up by `Shift` bits.
template <unsigned Shift, std::size_t N>
std::uint32_t entry(const std::uint32_t (&table)[N], char32_t c) noexcept {
  const std::uint32_t key = (static_cast<std::uint32_t>(c) << Shift) | ((1u << Shift) - 1);
  return *std::prev(std::upper_bound(std::begin(table), std::end(table), key));
}

void decompose(char32_t c, std::u32string& out) {
  const auto found = std::lower_bound(std::begin(kDecompositions), std::end(kDecompositions), c,
                                      [](const Decomposition& d, char32_t code) { return d.code < code; });
  if (found == std::end(kDecompositions) || found->code != c) {
    out.push_back(c);
    return;
  }
  decompose(found->first, out);
  if (found->second != 0) decompose(found->second, out);
}

/// The one character for a pair, or 0.
char32_t composed(char32_t first, char32_t second) noexcept {
  const auto found = std::find_if(std::begin(kDecompositions), std::end(kDecompositions), [=](const Decomposition& d) {
    return d.composes && d.first == first && d.second == second;
  });
  return found == std::end(kDecompositions) ? 0 : found->code;
}

}  // namespace

std::uint32_t properties(char32_t c) noexcept { return c < 0x110000 ? entry<11>(kProperties, c) & 0x7FF : 0; }

std::uint8_t combining_class(char32_t c) noexcept {
  return c < 0x300 || c >= 0x110000 ? 0 : static_cast<std::uint8_t>(entry<8>(kCombiningClasses, c) & 0xFF);
}

std::u32string compose(std::u32string_view cluster) {
  std::u32string parts;
  for (const char32_t c : cluster) decompose(c, parts);
  // Marks in canonical order: each run between characters of class 0 is sorted, stably.
  for (auto begin = parts.begin(); begin != parts.end();) {
    begin = std::find_if(begin, parts.end(), [](char32_t c) { return combining_class(c) != 0; });
    const auto end = std::find_if(begin, parts.end(), [](char32_t c) { return combining_class(c) == 0; });
    std::stable_sort(begin, end, [](char32_t a, char32_t b) { return combining_class(a) < combining_class(b); });
    begin = end;
  }
  std::u32string out;
  std::size_t starter = parts.size();
  for (const char32_t c : parts) {
    const std::uint8_t mine = combining_class(c);
    if (starter < out.size()) {
      // A mark is blocked from its base by another of the same or a higher class between them.
      const bool adjacent = starter + 1 == out.size();
      const std::uint8_t last = adjacent ? 0 : combining_class(out.back());
      if (adjacent || (last != 0 && last < mine)) {
        if (const char32_t together = composed(out[starter], c)) {
          out[starter] = together;
          continue;
        }
      }
    }
    if (mine == 0) starter = out.size();
    out.push_back(c);
  }
  return out;
}

std::u32string spelling(char32_t c) {
  for (const SpellingRun& run : kSpellingRuns) {
    if (c >= run.first && c <= run.last) return {run.spells + (c - run.first)};
  }
  for (const Spelling& one : kSpellings) {
    if (one.code == c) return one.text;
  }
  return {};
}

}  // namespace koe::text
