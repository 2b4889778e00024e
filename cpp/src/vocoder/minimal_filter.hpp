// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

namespace koe::vocoder {

/// The matrices of a minimal filtering algorithm F(8, taps) (Winograd, Arithmetic Complexity of Computations, 1980) in
/// Toom–Cook form: a tile's inputs and the taps become values at points, are multiplied there, and the products are
/// interpolated to 8 outputs. It takes taps + 7 products instead of 8 · taps: 2.4, 4 and 4.9 times fewer for 3, 7 and 11.
///
/// Points are 0, ∞ and opposite pairs, found by a search for the smallest error in float32 over white and over strongly
/// correlated inputs of 128 channels: 112, 97 and 80 dB for 3, 7 and 11 taps. The rows that take inputs to a point are
/// scaled by a power of two to sums of magnitudes near one; the taps' values have the inverse.
class MinimalFilter {
 public:
  static constexpr std::size_t kOut = 8;

  /// The algorithm for this many taps (3, 7 or 11), or null.
  static const MinimalFilter* find(std::size_t taps);

  std::size_t taps() const noexcept { return taps_; }
  std::size_t points() const noexcept { return taps_ + kOut - 1; }
  int pairs() const noexcept { return static_cast<int>(pairs_.size()); }
  /// For kernels::FilterInArgs, FilterWeightsArgs and FilterOutArgs.
  const float* in_matrix() const noexcept { return in_.data(); }
  const float* tap_matrix() const noexcept { return tap_matrix_.data(); }
  const float* out_powers() const noexcept { return powers_.data(); }
  /// The taps' values at the points: weights [taps] to values [points].
  void transform(const float* weights, float* values) const noexcept;

 private:
  MinimalFilter(std::size_t taps, std::vector<double> pairs);

  std::size_t taps_;
  std::vector<double> pairs_;
  std::vector<float> in_;
  std::vector<float> tap_matrix_;
  std::vector<float> powers_;
  std::vector<double> weights_;  // [points][taps]
};

}  // namespace koe::vocoder
