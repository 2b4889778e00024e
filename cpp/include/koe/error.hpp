// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>

#include "koe/export.hpp"

namespace koe {

/// A bad model, voice or device: something outside the caller's code is wrong. The message says what, with what value.
/// The caller's own mistakes (a length that doesn't fit, speed 0) are std::invalid_argument.
class KOE_API Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace koe
