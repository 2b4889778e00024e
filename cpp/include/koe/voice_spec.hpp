// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "koe/export.hpp"

namespace koe {

/// One voice of a mix.
struct WeightedVoice {
  std::string name;
  double weight;

  friend bool operator==(const WeightedVoice&, const WeightedVoice&) = default;
};

/// Reads a voice specification, UTF-8:
///
///     spec   = item { ( "," | "+" ) item }
///     item   = name [ ":" weight | "(" weight ")" ]
///     name   = letters, digits, "_" and "-"; anything outside ASCII is a letter
///     weight = decimal number without sign or exponent, at most 15 digits; 1 where it is left out
///
/// Spaces and tabs may stand between the parts. "af" is half af_bella and half af_sarah; bella, sarah, adam, michael, emma,
/// isabella, george, lewis, nicole and sky stand for their full names. A voice named twice gets the sum. Whether a voice
/// exists is not asked here.
/// Returns the voices in the order of their first mention, with weights that sum to 1; one of weight 0 is kept.
/// Throws std::invalid_argument, which names the character's position counted from 1, for anything else, and where the
/// weights sum to zero.
KOE_API std::vector<WeightedVoice> parse_voice_spec(std::string_view spec);

/// The at most `n` candidates most like `name`, the best first, to offer where a name is unknown. Likeness is the number of
/// edits (insert, delete, replace a byte, swap neighbours), without regard to ASCII case, to the whole candidate or to its
/// part after the first "_"; ties keep the candidates' order. One with nothing in common is not offered.
KOE_API std::vector<std::string> nearest_names(std::string_view name, std::span<const std::string> candidates, std::size_t n);

}  // namespace koe
