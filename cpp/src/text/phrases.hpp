// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "text/normalize.hpp"

namespace koe::text {

/// A stretch of normalised text without a space or mark.
struct TextWord {
  std::size_t begin;
  std::size_t end;
  int tag;
  bool joined;  ///< follows the one before without a space
};

/// A mark or a space, or else the words of a phrase.
struct TextItem {
  char32_t mark = 0;
  std::vector<TextWord> words;
};

/// The text as marks, spaces and phrases, in order.
std::vector<TextItem> find_phrases(const NormalizedText& text, std::string_view language);

}  // namespace koe::text
