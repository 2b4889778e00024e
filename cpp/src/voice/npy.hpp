// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace koe {

/// Whether the bytes start as NumPy's `.npy` format does.
bool is_npy(std::span<const std::byte> bytes) noexcept;

/// A float32 array inside the bytes it was read from.
struct NpyArray {
  std::vector<std::size_t> shape;
  std::span<const std::byte> data;  ///< exactly the product of the shape × 4 bytes, little-endian, C order
};

/// Reads a `.npy` array (NEP 1; versions 1 to 3) of type '<f4' in C order. The header's dictionary is parsed, never
/// evaluated. Throws koe::Error, whose message begins with `where`, for anything else, data cut short or with bytes left over.
NpyArray read_npy(std::span<const std::byte> bytes, const std::string& where);

}  // namespace koe
