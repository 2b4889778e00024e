// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace koe::text {

/// One replacement, everywhere in the string.
struct RuleStep {
  std::u32string_view find;
  std::u32string_view replace;
  std::u32string_view before = {};      ///< the character before must be one of these, if any
  std::u32string_view after = {};       ///< the character after must be one of these, if any …
  bool or_at_end = false;               ///< … or there must be none
  std::u32string_view not_after = {};   ///< the character after must be none of these
};

/// Steps in order. Throws std::invalid_argument where there is no such rule set.
std::vector<RuleStep> rule_steps(std::string_view language, std::string_view rules);

/// From espeak-ng's phonemes, `^` being the tie, to Kokoro's.
std::u32string apply_rules(std::u32string phonemes, const std::vector<RuleStep>& steps);

}  // namespace koe::text
