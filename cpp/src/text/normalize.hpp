// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace koe::text {

/// Text in the spelling that espeak-ng and Kokoro's vocabulary know, with the way back to the original characters.
struct NormalizedText {
  static constexpr int kNoTag = -1;

  std::u32string text;
  std::vector<std::pair<std::size_t, std::size_t>> spans;  ///< of each character, the half-open span it comes from
  std::vector<int> tags;  ///< of each character, the number of its inline pronunciation, or kNoTag
  std::vector<std::pair<std::size_t, std::u32string>> dropped;  ///< what can't be read, with its place in the original
  std::vector<std::u32string> pronunciations;                   ///< by tag
};

/// Normalises a text and takes inline pronunciations, `[word](/fəˈnimz/)`, out of it; only their words are left.
NormalizedText normalize(std::u32string_view text);

/// Words with one space between them; what Unicode calls space counts.
std::u32string single_spaced(std::u32string_view text);

}  // namespace koe::text
