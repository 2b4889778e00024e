// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace koe::text {

using SpanList = std::vector<std::pair<std::size_t, std::size_t>>;

/// Which phonemes of a phrase belong to which of its words. `phrase` has single spaces between groups; `words` are each
/// word's phonemes when spoken alone, empty for a word without sound; `joined` tells of each whether it follows the one
/// before without a space.
///
/// Returns for each word a half-open span: in order, without overlap, without spaces at the edges, and together covering
/// every phoneme; empty for a word that nothing was found for.
SpanList align_words(std::u32string_view phrase, const std::vector<std::u32string>& words, const std::vector<bool>& joined);

}  // namespace koe::text
