// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "koe/bundle.hpp"

namespace koe::model {

struct GgufContents {
  Metadata metadata;
  std::vector<Tensor> tensors;  // in the file's order; names distinct, data inside the given bytes and not overlapping
};

/// Parses a whole GGUF version 3 file. Trusts nothing: every count, length, offset and product is checked against the bytes
/// there are. Throws koe::Error, whose message says what is wrong at which byte.
GgufContents parse_gguf(std::span<const std::byte> bytes);

}  // namespace koe::model
