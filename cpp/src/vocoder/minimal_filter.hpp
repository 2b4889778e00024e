// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

namespace koe::vocoder {

/// The matrices of a minimal filtering algorithm F(6, taps) (Winograd, Arithmetic Complexity of Computations, 1980) in
/// Toom–Cook form: a tile's inputs and the taps become values at points, are multiplied there, and the products are
/// interpolated to 6 outputs. It takes taps + 5 products instead of 6 · taps: 2.25, 3.5 and 4.1 times fewer for 3, 7 and 11.
///
/// Points are 0, ∞ and opposite pairs, found by a search for the smallest error in float32 over white and over strongly
/// correlated inputs of 128 channels: 119, 106 and 87 dB for 3, 7 and 11 taps. The rows that take inputs to a point are
/// scaled by a power of two to sums of magnitudes near one; the taps' values have the inverse.
class MinimalFilter {
 public:
  static constexpr std::size_t kOut = 6;

  /// The algorithm for this many taps (3, 7 or 11), or null.
  static const MinimalFilter* find(std::size_t taps);

  std::size_t taps() const noexcept { return taps_; }
  std::size_t points() const noexcept { return taps_ + kOut - 1; }
  int pairs() const noexcept { return static_cast<int>(pairs_.size()); }
  /// For kernels::FilterInArgs and FilterOutArgs.
  const float* in_matrix() const noexcept { return in_.data(); }
  const float* out_powers() const noexcept { return powers_.data(); }
  /// The taps' values at the points: weights [taps] to values [points].
  void transform(const float* weights, float* values) const noexcept;

 private:
  MinimalFilter(std::size_t taps, std::vector<double> pairs);

  std::size_t taps_;
  std::vector<double> pairs_;
  std::vector<float> in_;
  std::vector<float> powers_;
  std::vector<double> weights_;  // [points][taps]
};

}  // namespace koe::vocoder
