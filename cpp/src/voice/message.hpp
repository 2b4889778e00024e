// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace koe {

/// A caller's text for a message: a control character, which could end or garble it, becomes '?'.
inline std::string without_controls(std::string_view text) {
  std::string out(text);
  std::replace_if(out.begin(), out.end(), [](char c) { return (c >= 0 && c < ' ') || c == '\x7f'; }, '?');
  return out;
}

}  // namespace koe
